// SPDX-License-Identifier: MIT
// What a PV kernel says about itself in its "Xen" ELF notes [xen/elfnote.h].
#pragma once

#include <optional>
#include <string_view>

#include "init/dom0/image/elf.hpp"

namespace xylem::image {

struct PvKernel {
    u64 virt_base = 0;     // pseudo-physical address p is mapped at virt_base + p at start of day
    u64 paddr_offset = 0;  // the ELF file's p_paddr minus the pseudo-physical address
    u64 entry = 0;         // virtual address

    u64 kernel_start = 0;  // pseudo-physical bytes [start, end) that the segments fill; not rounded to pages
    u64 kernel_end = 0;

    std::optional<u64> hypercall_page;  // virtual address of a page inside the kernel to be filled
    std::optional<u64> init_p2m;        // virtual address: the p2m goes there instead of behind the kernel
    std::optional<u64> phys32_entry;    // PVH
    u64 hv_start_low = 0;               // the kernel promises to leave [hv_start_low, ...) to the hypervisor; 0 if it did not say
    u64 l1_mfn_valid_mask = 0;          // a PTE is a valid L1 entry if (pte & mask) == value; 0, 0 if it did not say
    u64 l1_mfn_valid_value = 0;
    u32 supported_features = 0;  // bits XENFEAT_*: what the kernel can do
    u32 required_features = 0;   // bits XENFEAT_*: named with "!"; never one we cannot give
    bool mod_start_pfn = false;  // the initrd need not be mapped: start_info.mod_start is a pfn
    bool suspend_cancel = false;
    bool pae = false;

    std::string_view guest_os, guest_version, loader;  // parts of the ELF file's bytes
};

// Reads the notes and checks them against each other, the segments and the hypervisor's address range.
// Errors: not_pv, contradictory, corrupt, truncated, unsupported.
ImageResult<PvKernel> parse_pv_kernel(const ElfImage& elf);

}  // namespace xylem::image
