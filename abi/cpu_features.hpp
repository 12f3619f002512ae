// SPDX-License-Identifier: MIT
// Names of CPU features: XEN_X86_FEATURE_* = 32 * (word of the feature set) + bit.
#pragma once

#include <stdint.h>
#include <xen/arch-x86/cpufeatureset.h>
