// SPDX-License-Identifier: MIT
// The x86 half of a domain.
#pragma once

#include <array>

#include "arch/x86/time/guest_tsc.hpp"
#include "core/domain/domain.hpp"

namespace xylem {

namespace pv {
struct SharedPolicy;
}

struct ArchDomain {
    u64 per_domain_l3 = 0;  // machine address of the table behind layout::per_domain_slot
    u64* per_domain_l3_table = nullptr;
    u64* per_domain_l2 = nullptr;
    std::array<u64*, max_vcpus_per_domain * 32 / 512> window_tables{};  // L1 tables of the GDT/LDT windows

    pv::SharedPolicy* cpu_policy = nullptr;  // what CPUID tells the domain; its own count; fixed once the domain has run

    GuestTsc tsc;  // likewise

    u32 pci_address = 0;  // what was last written to port 0xcf8
    u8 cmos_index = 0;
    u64 vm_assist = 0;  // VMASST_TYPE_* bits as the guest set them; those that matter:
    bool architectural_iopl = false, runstate_update_flag = false;
};

// Makes the per-domain mappings (windows for `max_vcpus`).
Result<> make_arch_domain(Domain& d);
void destroy_arch_domain(Domain& d);

}  // namespace xylem
