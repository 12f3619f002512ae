// SPDX-License-Identifier: MIT
// mmuext_op [ABI.md 3.4]: pinning, page-table roots, flushes, LDT.
#include <algorithm>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"
#include "arch/x86/pv/vcpu_masks.hpp"
#include "core/port/guest.hpp"
#include "core/port/io_rights.hpp"
#include "core/port/preempt.hpp"
#include "cpu/instructions.hpp"

namespace xylem::pv {

sched::CpuMask cpus_of_domain(const Domain& d) {
    sched::CpuMask cpus;
    for (u32 i = 0; i < d.max_vcpus; ++i)
        if (const Vcpu* v = d.vcpus[i]; v != nullptr && v->arch->cpu != nullptr) cpus.set(v->arch->cpu->id);
    return cpus;
}

Result<sched::CpuMask> cpus_of_vcpus(Domain& d, u64 va) {
    sched::CpuMask cpus;
    for (u32 word = 0; word * 64 < d.max_vcpus; ++word) {
        const u64 left = d.max_vcpus - word * 64;
        u64 wanted = 0;
        // Only the bytes that hold existing vCPUs are the guest's to provide.
        if (!port::copy_from_guest(&wanted, va + word * 8, std::min<u64>(8, (left + 7) / 8))) return fail(XEN_EFAULT);
        if (left < 64) wanted &= (u64{1} << left) - 1;
        for (; wanted != 0; wanted &= wanted - 1) {
            const Vcpu* v = d.vcpus[word * 64 + static_cast<u32>(__builtin_ctzll(wanted))];
            if (v != nullptr && v->arch->cpu != nullptr) cpus.set(v->arch->cpu->id);
        }
    }
    return cpus;
}

long flush_as_asked(ArchVcpu& v, u64 flags, u64 va) {
    const u64 target = flags & ~u64{UVMF_FLUSHTYPE_MASK};
    const bool all = (flags & UVMF_FLUSHTYPE_MASK) == UVMF_TLB_FLUSH;
    if (target == UVMF_LOCAL) {
        all ? flush_tlb_local() : flush_page_local(va);
        return 0;
    }
    const Result<sched::CpuMask> cpus =
        target == UVMF_ALL ? Result<sched::CpuMask>(cpus_of_domain(v.vcpu->domain)) : cpus_of_vcpus(v.vcpu->domain, target);
    if (!cpus) return to_hypercall_result(cpus.error());
    all ? flush_tlb_on(*cpus) : flush_page_on(*cpus, va);
    return 0;
}

namespace {

Result<> pin(Domain& d, Mfn mfn, unsigned level) {
    PageInfo* page = find_page(mfn);
    if (Result<> r = get_typed(page, d.id, static_cast<PageType>(level)); !r) return r;
    if (page->fetch_or(PageState::pinned_bit).has(PageState::pinned_bit)) {
        put_typed(*page);
        return fail(XEN_EINVAL);
    }
    return {};
}

Result<> unpin(Domain& d, Mfn mfn) {
    PageInfo* page = find_page(mfn);
    if (page == nullptr || !get_reference(*page, d.id)) return fail(XEN_EINVAL);
    const bool was_pinned = drop_pin(*page);
    put_reference(*page);
    if (!was_pinned) return fail(XEN_EINVAL);
    return {};
}

Result<> clear_or_copy(Domain& d, const mmuext_op& op) {
    PageInfo* to = find_page(Mfn(op.arg1.mfn));
    if (to == nullptr || !get_writable(*to, d.id)) return fail(XEN_EINVAL);
    u64* target = table_of(Mfn(op.arg1.mfn));
    Result<> result{};
    if (op.cmd == MMUEXT_CLEAR_PAGE) {
        std::fill_n(target, 512, u64{0});
    } else {
        PageInfo* from = find_page(Mfn(op.arg2.src_mfn));
        if (from != nullptr && get_reference(*from, d.id)) {
            std::copy_n(table_of(Mfn(op.arg2.src_mfn)), 512, target);
            put_reference(*from);
        } else {
            result = fail(XEN_EINVAL);
        }
    }
    put_writable(*to);
    return result;
}

Result<> flush_on_vcpus(ArchVcpu& v, const mmuext_op& op) {
    const bool one_page = op.cmd == MMUEXT_INVLPG_MULTI;
    const sched::CpuMask cpus = TRY(cpus_of_vcpus(v.vcpu->domain, reinterpret_cast<u64>(op.arg2.vcpumask.p)));
    if (one_page && layout::in_hypervisor(op.arg1.linear_addr)) return {};
    one_page ? flush_page_on(cpus, op.arg1.linear_addr) : flush_tlb_on(cpus);
    return {};
}

Result<> apply(ArchVcpu& v, Domain& tables, const mmuext_op& op) {
    switch (op.cmd) {
        case MMUEXT_PIN_L1_TABLE:
        case MMUEXT_PIN_L2_TABLE:
        case MMUEXT_PIN_L3_TABLE:
        case MMUEXT_PIN_L4_TABLE: return pin(tables, Mfn(op.arg1.mfn), op.cmd - MMUEXT_PIN_L1_TABLE + 1);
        case MMUEXT_UNPIN_TABLE: return unpin(tables, Mfn(op.arg1.mfn));
        case MMUEXT_NEW_BASEPTR:
            if (&tables != &v.vcpu->domain) return fail(XEN_EPERM);
            return set_kernel_root(v, Mfn(op.arg1.mfn));
        case MMUEXT_NEW_USER_BASEPTR:
            if (&tables != &v.vcpu->domain) return fail(XEN_EPERM);
            return set_user_root(v, Mfn(op.arg1.mfn));
        case MMUEXT_TLB_FLUSH_LOCAL: flush_tlb_local(); return {};
        case MMUEXT_INVLPG_LOCAL:
            if (!layout::in_hypervisor(op.arg1.linear_addr)) flush_page_local(op.arg1.linear_addr);
            return {};
        case MMUEXT_TLB_FLUSH_MULTI:
        case MMUEXT_INVLPG_MULTI: return flush_on_vcpus(v, op);
        case MMUEXT_TLB_FLUSH_ALL: flush_tlb_on(cpus_of_domain(v.vcpu->domain)); return {};
        case MMUEXT_INVLPG_ALL:
            if (!layout::in_hypervisor(op.arg1.linear_addr)) flush_page_on(cpus_of_domain(v.vcpu->domain), op.arg1.linear_addr);
            return {};
        case MMUEXT_FLUSH_CACHE:
        case MMUEXT_FLUSH_CACHE_GLOBAL:
            if (!port::may_choose_caching(v.vcpu->domain)) return fail(XEN_EACCES);
            cpu::wbinvd();
            return {};
        case MMUEXT_SET_LDT:
            if (const long r = set_ldt(v, op.arg1.linear_addr, op.arg2.nr_ents); r != 0) return fail(static_cast<Errno>(-r));
            return {};
        case MMUEXT_CLEAR_PAGE:
        case MMUEXT_COPY_PAGE: return clear_or_copy(tables, op);
        case MMUEXT_MARK_SUPER:
        case MMUEXT_UNMARK_SUPER: return fail(XEN_EOPNOTSUPP);
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

long hypercall_mmuext_op(u64 operations, u64 count, u64 done_va, u64 foreign, u64, u64) {
    ArchVcpu& v = current_arch();
    Domain& caller = v.vcpu->domain;
    DomainRef other;
    Domain* tables = &caller;
    const DomId foreign_id(static_cast<u16>(foreign));
    if (foreign_id != domid_self && foreign_id != caller.id) {
        Result<DomainRef> found = find_domain_for(caller, foreign_id);
        if (!found) return to_hypercall_result(found.error());
        other = std::move(*found);
        tables = other.get();
    }
    const GuestPtr<mmuext_op> list(operations);
    u32 done = 0;
    long result = 0;
    while (done < static_cast<u32>(count)) {
        const Result<mmuext_op> op = list.element(done).read();
        const Result<> r = op ? apply(v, *tables, *op) : fail(op.error());
        if (!r) {
            result = to_hypercall_result(r.error());
            break;
        }
        ++done;
        if ((done & 15) == 0 && !port::preemption_point()) break;
    }
    if (done_va != 0 && !GuestPtr<u32>(done_va).write(done)) return -static_cast<long>(XEN_EFAULT);
    return result;
}

}  // namespace xylem::pv
