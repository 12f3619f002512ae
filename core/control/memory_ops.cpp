// SPDX-License-Identifier: MIT
#include "core/control/memory_ops.hpp"

#include <algorithm>

#include "core/control/bitmap.hpp"
#include "core/mem/pages.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"
#include "core/port/vcpu_state.hpp"

namespace xylem::control {
namespace {

constexpr u64 type_of(PageState s) {
    u64 type = XEN_DOMCTL_PFINFO_NOTAB;
    if (s.type_uses() != 0) {
        switch (s.type()) {
            case PageType::l1: type = XEN_DOMCTL_PFINFO_L1TAB; break;
            case PageType::l2: type = XEN_DOMCTL_PFINFO_L2TAB; break;
            case PageType::l3: type = XEN_DOMCTL_PFINFO_L3TAB; break;
            case PageType::l4: type = XEN_DOMCTL_PFINFO_L4TAB; break;
            default: break;
        }
    }
    return s.has(PageState::pinned_bit) ? type | XEN_DOMCTL_PFINFO_LPINTAB : type;
}

u64 type_of(Domain& d, u64 gfn) {
    PageInfo* page = find_page(port::gfn_to_mfn(d, Gfn(gfn)));
    if (page == nullptr || !get_reference(*page, d.id)) return XEN_DOMCTL_PFINFO_XTAB;
    const u64 type = type_of(page->load());
    put_reference(*page);
    return type;
}

}  // namespace

Result<> page_types(Domain& d, const xen_domctl_getpageframeinfo3& op) {
    constexpr u64 most = 1024;
    if (op.num > most) return fail(XEN_E2BIG);
    const GuestPtr<u64> list(reinterpret_cast<u64>(op.array.p));
    u64 chunk[64];
    for (u64 done = 0; done < op.num;) {
        const u64 n = std::min<u64>(op.num - done, std::size(chunk));
        TRY(list.element(done).read_many(chunk, n));
        for (u64 i = 0; i < n; ++i) chunk[i] = type_of(d, chunk[i]);
        TRY(list.element(done).write_many(chunk, n));
        done += n;
        port::preemption_point();
    }
    return {};
}

Result<> fill_hypercall_page(Domain& d, const xen_domctl_hypercall_init& op) {
    const WritablePage page = TRY(WritablePage::get(d, Gfn(op.gmfn)));
    port::write_hypercall_page(page.address());
    return {};
}

Result<> set_node_affinity(Domain&, const xen_domctl_nodeaffinity& op) {
    const sched::CpuMask nodes = TRY(read_mask(op.nodemap));
    if (!nodes.has(CpuId(0))) return fail(XEN_EINVAL);
    return {};
}

Result<> get_node_affinity(Domain&, const xen_domctl_nodeaffinity& op) {
    sched::CpuMask nodes;
    nodes.set(CpuId(0));
    return write_mask(op.nodemap, nodes);
}

}  // namespace xylem::control
