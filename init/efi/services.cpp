// SPDX-License-Identifier: MIT
#include "init/efi/services.hpp"

#include <algorithm>

#include "arch/x86/mm/hypervisor_tables.hpp"
#include "base/log.hpp"
#include "base/sync/spinlock.hpp"
#include "core/mem/heap.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"

// arch/x86/boot/efi_call.S: Microsoft's convention, the stack aligned.
extern "C" xylem::u64 efi_call(xylem::u64 entry, xylem::u64 a, xylem::u64 b, xylem::u64 c, xylem::u64 d, xylem::u64 e);

namespace xylem::efi {
namespace {

struct Services {
    const SystemTable* system = nullptr;
    const RuntimeServices* runtime = nullptr;
    u64* root = nullptr;
};
constinit Services services;

constinit Spinlock lock;
alignas(16) constinit u8 guest_fpu[512] XYLEM_GUARDED_BY(lock){};

// In the direct map, which covers all RAM and at least 4 GiB.
template <class T>
const T* at(u64 machine, u64 count = 1) {
    const u64 covered = std::max(layout::frame_count() << page_shift, 4 * gib);
    if (machine == 0 || machine > covered || count > covered / sizeof(T) || count * sizeof(T) > covered - machine) return nullptr;
    return static_cast<const T*>(layout::direct_map(Maddr(machine)));
}

u64* new_table() {
    return static_cast<u64*>(heap_allocate(page_size));
}

// Maps machine memory at its own address. False: no memory.
bool map_at_itself(u64 start, u64 end, u64 flags) {
    constexpr u64 big = 2 * mib;
    while (start < end) {
        u64* table = services.root;
        unsigned shift = 39;
        const bool whole = start % big == 0 && end - start >= big;
        for (; shift > (whole ? 21U : 12U); shift -= 9) {
            u64& entry = table[(start >> shift) & 511];
            if ((entry & pte::present) == 0) {
                u64* below = new_table();
                if (below == nullptr) return false;
                entry = layout::maddr_of_direct(below).raw | pte::present | pte::writable | pte::accessed;
            }
            if ((entry & pte::large) != 0) break;  // descriptors that overlap
            table = static_cast<u64*>(layout::direct_map(Maddr(entry & pte::frame_mask)));
        }
        if (shift == 12 || (whole && shift == 21)) table[(start >> shift) & 511] = start | flags | (whole ? pte::large : 0);
        start += whole ? big : page_size;
    }
    return true;
}

bool map_runtime_memory(const BootInfo& boot) {
    services.root = new_table();
    if (services.root == nullptr) return false;
    constexpr u64 lower_half = u64{1} << 47;
    // Not global: these translations end with the call. Code regions hold the drivers' data, too.
    constexpr u64 code = pte::present | pte::writable | pte::accessed | pte::dirty;
    for (const EfiRegion& r : boot.efi_memory()) {
        if ((r.attributes & memory_runtime) == 0) continue;
        if (r.start >= lower_half || r.bytes > lower_half - r.start) continue;
        const u64 caching = (r.attributes & memory_write_back) != 0 ? 0 : pte::cache_disable | pte::write_through;
        const u64 flags = code | caching | (r.type == runtime_services_code ? 0 : pte::no_execute);
        log::debug("EFI runtime memory {:016x} - {:016x} type {} attributes {:#x}", r.start, r.start + r.bytes, r.type,
                   r.attributes);
        if (!map_at_itself(r.start, r.start + r.bytes, flags)) return false;
    }
    return true;
}

}  // namespace

void prepare(const BootInfo& boot) {
    if (boot.efi_system_table == 0) return;
    const auto* table = at<SystemTable>(boot.efi_system_table);
    if (table == nullptr || table->header.signature != system_table_signature)
        return log::warning("EFI: the system table at {:#x} makes no sense; firmware variables are not available",
                            boot.efi_system_table);
    services.system = table;
    const auto* runtime = at<RuntimeServices>(table->runtime_services);
    if (runtime == nullptr || boot.efi_memory().empty())
        return log::warning("EFI: the loader does not tell the firmware's memory map; firmware variables are not available");
    if (!map_runtime_memory(boot)) return log::warning("EFI: no memory to map the firmware; its variables are not available");
    services.runtime = runtime;
    log::info("EFI {}.{}, runtime services at {:#x}", table->header.revision >> 16, (table->header.revision & 0xffff) / 10,
              table->runtime_services);
}

const SystemTable* system_table() {
    return services.system;
}
const RuntimeServices* runtime_services() {
    return services.runtime;
}

Status call(u64 entry, u64 a, u64 b, u64 c, u64 d, u64 e) {
    IrqGuard g(lock);
    const u64 root = cpu::read_cr3();
    const u64* current = static_cast<const u64*>(layout::direct_map(Maddr(root & pte::frame_mask)));
    // The hypervisor's half as it is now: the descriptor windows differ per domain.
    std::copy_n(current + layout::first_slot, layout::end_slot - layout::first_slot, services.root + layout::first_slot);
    const u64 cr0 = cpu::read_cr0();
    cpu::clts();
    cpu::fxsave64(guest_fpu);
    constexpr u32 mxcsr_default = 0x1f80;
    cpu::fninit();
    cpu::ldmxcsr(mxcsr_default);
    cpu::write_cr3(layout::maddr_of_direct(services.root).raw);
    const Status status = efi_call(entry, a, b, c, d, e);
    cpu::write_cr3(root);
    cpu::fxrstor64(guest_fpu);
    cpu::write_cr0(cr0);
    return status;
}

void reset(Reset how) {
    // A CPU that was stopped inside a call will not give the lock back.
    if (services.runtime == nullptr || services.runtime->reset_system == 0 || lock.is_locked()) return;
    log::info("EFI: asking the firmware to restart the machine");
    call(services.runtime->reset_system, static_cast<u64>(how));
    log::warning("EFI: the firmware did not restart the machine");
}

}  // namespace xylem::efi
