// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/cpu/mmio.hpp"
