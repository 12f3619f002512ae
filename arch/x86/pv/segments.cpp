// SPDX-License-Identifier: MIT
#include "arch/x86/pv/segments.hpp"

#include <atomic>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "core/port/guest.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constexpr u64 present = u64{1} << 47;
constexpr u64 code_or_data = u64{1} << 44;
constexpr u64 long_mode_code = u64{1} << 53;
constexpr u64 default_32 = u64{1} << 54;
constexpr u64 privilege = u64{3} << 45;

u64* window_entry(ArchVcpu& v, unsigned page) {
    ArchDomain& d = *v.vcpu->domain.arch;
    const u64 index = v.vcpu->id.raw * window_pages + page;
    u64* l1 = d.window_tables[index / 512];
    return l1 == nullptr ? nullptr : l1 + index % 512;
}

void put_descriptor_frame(u64 mfn) {
    put_typed(*find_page(Mfn(mfn)));
}

Result<> take_descriptor_frame(Domain& d, Mfn mfn) {
    PageInfo* page = find_page(mfn);
    if (page == nullptr || !get_reference(*page, d.id)) return fail(XEN_EINVAL);
    // Not the read-only frames we share with the domain, which are typed so for ever.
    if (!page->load().has(PageState::owned_bit) || !get_type_use(*page, PageType::segment_descriptors)) {
        put_reference(*page);
        return fail(XEN_EINVAL);
    }
    return {};
}

}  // namespace

bool sanitise_descriptor(u64& d) {
    if ((d & present) == 0) return true;
    const unsigned type = static_cast<unsigned>(d >> 40) & 0xf;
    if ((d & code_or_data) != 0) {
        d |= privilege;  // everything the guest has runs at ring 3
        // 64-bit code must not also claim a 32-bit default: reserved.
        return !((type & 8) != 0 && (d & long_mode_code) != 0 && (d & default_32) != 0);
    }
    // System descriptors: only "type 0" (unusable) may be present; gates and task states could lead into the hypervisor.
    return type == 0;
}

Result<> validate_descriptor_page(Mfn mfn) {
    u64* table = table_of(mfn);
    for (unsigned i = 0; i < 512; ++i) {
        u64 d = table[i];
        if (!sanitise_descriptor(d)) return fail(XEN_EINVAL);
        if (d != table[i]) table[i] = d;
    }
    return {};
}

void drop_gdt(ArchVcpu& v) {
    for (unsigned i = 0; i < v.gdt_frames.size(); ++i) {
        if (v.gdt_frames[i] == 0) continue;
        *window_entry(v, i) = 0;
        put_descriptor_frame(std::exchange(v.gdt_frames[i], 0));
    }
    v.gdt_entries = 0;
}

Result<> set_gdt(ArchVcpu& v, const u64* frames, u32 entries) {
    Domain& d = v.vcpu->domain;
    const unsigned count = (entries + 511) / 512;
    if (entries > 7168) return fail(XEN_EINVAL);
    for (unsigned i = 0; i < count; ++i) {
        if (Result<> r = take_descriptor_frame(d, Mfn(frames[i])); !r) {
            while (i-- > 0) put_descriptor_frame(frames[i]);
            return r;
        }
    }
    drop_gdt(v);
    for (unsigned i = 0; i < count; ++i) {
        v.gdt_frames[i] = frames[i];
        // Writable: the CPU sets the accessed bit when a segment is loaded.
        *window_entry(v, i) =
            maddr_of(Mfn(frames[i])).raw | bits::present | bits::writable | bits::accessed | bits::dirty | bits::no_execute;
    }
    v.gdt_entries = entries;
    return {};
}

void drop_ldt(ArchVcpu& v) {
    for (unsigned i = 0; i < 16; ++i) {
        u64* slot = window_entry(v, 16 + i);
        if (slot == nullptr || *slot == 0) continue;
        const Mfn mfn = frame_of(*slot);
        *slot = 0;
        put_descriptor_frame(mfn.raw);
    }
}

bool fault_in_ldt(ArchVcpu& v, u64 va) {
    const u64 offset = va - ldt_window(v.vcpu->id);
    if (offset >= u64{v.ldt_entries} * 8) return false;
    const u64 page = offset >> page_shift;
    const L1Slot source = find_l1(v.kernel_root, v.ldt_base + page * page_size);
    if (source.entry == nullptr) return false;
    const u64 entry = *source.entry;
    if (!is_present(entry) || !take_descriptor_frame(v.vcpu->domain, frame_of(entry))) return false;
    u64* slot = window_entry(v, 16 + static_cast<unsigned>(page));
    if (*slot != 0) {
        put_descriptor_frame(frame_of(entry).raw);
        return true;
    }
    *slot = (entry & bits::frame) | bits::present | bits::writable | bits::accessed | bits::dirty | bits::no_execute;
    return true;
}

void load_descriptor_tables(ArchVcpu& v) {
    PerCpu& cpu = *v.cpu;
    // Page 14 of the window is this CPU's own part; stale if the vCPU ran elsewhere before.
    u64* own = window_entry(v, 14);
    const u64 wanted =
        maddr_of(Mfn(cpu.gdt_page_mfn)).raw | bits::present | bits::writable | bits::accessed | bits::dirty | bits::no_execute;
    if (*own != wanted) {
        *own = wanted;
        cpu::invlpg(gdt_window(v.vcpu->id) + 14 * page_size);
    }
    cpu::lgdt({0xffff, gdt_window(v.vcpu->id)});
    u64* g = cpu.gdt_page;
    if (v.ldt_entries != 0) {
        const u64 base = ldt_window(v.vcpu->id);
        g[LDT_SELECTOR / 8 - 7168] =
            ((v.ldt_entries * 8 - 1) & 0xffff) | ((base & 0xff'ffff) << 16) | (u64{0x82} << 40) | ((base >> 24 & 0xff) << 56);
        g[LDT_SELECTOR / 8 - 7168 + 1] = base >> 32;
        cpu::lldt(LDT_SELECTOR);
    } else {
        cpu::lldt(0);
    }
}

long hypercall_set_gdt(u64 frames, u64 entries, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    if (entries > 7168) return -static_cast<long>(XEN_EINVAL);
    u64 list[14]{};
    const u64 count = (entries + 511) / 512;
    if (Result<> r = GuestPtr<u64>(frames).read_many(list, count); !r) return to_hypercall_result(r.error());
    if (Result<> r = set_gdt(v, list, static_cast<u32>(entries)); !r) return to_hypercall_result(r.error());
    flush_tlb_local();
    cpu::lgdt({0xffff, gdt_window(v.vcpu->id)});
    return 0;
}

long set_ldt(ArchVcpu& v, u64 va, u64 entries) {
    if (entries > 8192 || (va & page_mask) != 0 || (entries != 0 && (!layout::is_canonical(va) || layout::in_hypervisor(va))))
        return -static_cast<long>(XEN_EINVAL);
    if (v.ldt_entries == 0 && entries == 0) return 0;
    drop_ldt(v);
    flush_tlb_local();
    v.ldt_base = va;
    v.ldt_entries = static_cast<u32>(entries);
    const u64 flags = cpu::irq_save();
    load_descriptor_tables(v);
    cpu::irq_restore(flags);
    return 0;
}

long hypercall_update_descriptor(u64 maddr, u64 descriptor, u64, u64, u64, u64) {
    Domain& d = current_arch().vcpu->domain;
    PageInfo* page = find_page(mfn_of(Maddr(maddr)));
    if ((maddr & 7) != 0 || page == nullptr || !sanitise_descriptor(descriptor)) return -static_cast<long>(XEN_EINVAL);
    auto slot = std::atomic_ref<u64>(*static_cast<u64*>(layout::direct_map(Maddr(maddr))));
    // Descriptor page or plain memory; either way it must stay what it is while we write.
    if (get_reference(*page, d.id)) {
        PageState s = page->load();
        if (s.type_uses() != 0 && s.type() == PageType::segment_descriptors && s.has(PageState::owned_bit)) {
            const Result<> use = get_type_use(*page, PageType::segment_descriptors);
            if (use) {
                slot.store(descriptor);
                put_type_use(*page);
            }
            put_reference(*page);
            return use ? 0 : to_hypercall_result(use.error());
        }
        put_reference(*page);
    }
    if (!get_writable(*page, d.id)) return -static_cast<long>(XEN_EINVAL);
    slot.store(descriptor);
    put_writable(*page);
    return 0;
}

long hypercall_set_segment_base(u64 which, u64 base, u64, u64, u64, u64) {
    switch (which) {
        case SEGBASE_FS:
            if (!layout::is_canonical(base)) return -static_cast<long>(XEN_EINVAL);
            cpu::wrmsr(x86::msr::fs_base, base);
            return 0;
        case SEGBASE_GS_USER:
            if (!layout::is_canonical(base)) return -static_cast<long>(XEN_EINVAL);
            cpu::wrmsr(x86::msr::kernel_gs_base, base);
            return 0;
        case SEGBASE_GS_KERNEL:
            if (!layout::is_canonical(base)) return -static_cast<long>(XEN_EINVAL);
            cpu::wrmsr(x86::msr::gs_base, base);
            return 0;
        case SEGBASE_GS_USER_SEL: {
            // Loading the selector sets the active GS base: do it on the user's side of swapgs. A bad selector becomes null.
            const u64 flags = cpu::irq_save();
            cpu::swapgs();
            if (!cpu::try_load_gs(static_cast<u16>(base))) (void)cpu::try_load_gs(0);
            cpu::swapgs();
            cpu::irq_restore(flags);
            return 0;
        }
        default: return -static_cast<long>(XEN_EINVAL);
    }
}

}  // namespace xylem::pv
