// SPDX-License-Identifier: MIT
// The machine-check hypercall [xen/arch-x86/xen-mca.h].
#pragma once

#include "abi/xen.hpp"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wold-style-cast"
#include <xen/arch-x86/xen-mca.h>
#pragma clang diagnostic pop
