// SPDX-License-Identifier: MIT
// Numbers of the notes by which a kernel describes itself [xen/elfnote.h] and of the features it can ask for [xen/features.h].
#pragma once

#include <xen/elfnote.h>
#include <xen/features.h>
