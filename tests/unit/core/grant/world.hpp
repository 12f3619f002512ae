// SPDX-License-Identifier: MIT
// A small machine with domains for the tests of grants and memory_op: real pages, allocator and heap; page tables, TLBs and
// the domain list played by fakes.cpp. "Guest addresses" are addresses of the test's own memory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "arch/host/cpus.hpp"
#include "arch/host/machine.hpp"
#include "core/domain/domain.hpp"
#include "core/grant/table.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/memory_op.hpp"
#include "core/mem/pages.hpp"
#include "core/port/guest_map.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"

namespace xylem::test {

// A page-table entry that maps a grant.
struct Entry {
    Mfn mfn;
    bool readonly;
    bool user;
    u32 avail_bits;
};

struct World {
    std::map<u16, Domain*> domains;
    Vcpu* current = nullptr;
    std::map<std::pair<u64, bool>, Entry> entries;      // by address and contains_pte, of whichever domain
    std::map<std::pair<u64, bool>, int> device_access;  // by mfn and writable: calls that are not revoked
    std::vector<MemoryMapEntry>& machine_map = host::environment.memory_map;
    std::vector<Mfn>& m2p_extents = host::environment.m2p_extents;
    u64 flushes = 0;
    u64 preemptions = 0;              // preemption points passed, where counts_preemptions
    bool counts_preemptions = false;  // ours is the one linked
    bool refuse_map = false;
    bool refuse_device = false;
    bool refuse_copy = false;  // every copy to or from the guest faults
    std::function<void()> on_flush;
    std::function<void()> on_preempt;
    std::vector<std::unique_ptr<Domain>> owned;
    std::vector<std::unique_ptr<Vcpu>> vcpus;

    World();
    ~World();
    World(const World&) = delete;

    // A domain with one vCPU, a grant table and no memory.
    Domain& add_domain(u16 id, grant::Limits limits = {});
    // Kills one as the real life cycle does: mappings, page-table entries, then the table when the last count goes.
    void remove_domain(Domain& d);
    Vcpu& vcpu(Domain& d) { return *d.vcpus[0]; }
    // Its vCPU is the current one.
    void run(Domain& d) { current = host::machine.current[0] = d.vcpus[0]; }
    // A page of memory of its own.
    Mfn page(Domain& d);
    u8* bytes(Mfn mfn) { return static_cast<u8*>(port::frame_address(mfn)); }
    // True where so many preemption points were passed, or nobody counts.
    bool preempted(u64 times) const { return !counts_preemptions || preemptions == times; }
    // The guest clears an entry behind the grant table's back.
    void clear_entry(u64 address, bool contains_pte);
};

extern World* world;  // the test's

inline PageState state_of(Mfn mfn) {
    return find_page(mfn)->load();
}

// Nobody holds it (the allocator marks only the first frame of a free run).
inline bool is_free(Mfn mfn) {
    return state_of(mfn).references() == 0;
}

// The shared table as the guest sees it.
grant_entry_v1_t& entry_v1(Domain& d, u32 ref);
grant_entry_v2_t& entry_v2(Domain& d, u32 ref);
u16& status_v2(Domain& d, u32 ref);

inline void offer(Domain& granter, u32 ref, Domain& to, Mfn mfn, u16 flags = 0) {
    entry_v1(granter, ref).domid = to.id.raw;
    entry_v1(granter, ref).frame = static_cast<u32>(mfn.raw);
    entry_v1(granter, ref).flags = static_cast<u16>(GTF_permit_access | flags);
}

template <class Op>
long grant_op(Domain& caller, u32 command, Op* ops, u64 count = 1) {
    world->run(caller);
    return grant::grant_table_op(*caller.vcpus[0], command, reinterpret_cast<u64>(ops), count);
}
inline long mem_op(Domain& caller, u32 command, void* argument) {
    world->run(caller);
    return memory_op(*caller.vcpus[0], command, reinterpret_cast<u64>(argument));
}
inline long error(Errno e) {
    return to_hypercall_result(e);
}

// Maps one grant; the operation with its answer.
inline gnttab_map_grant_ref map(Domain& mapper, Domain& granter, u32 ref, u32 flags, u64 address) {
    gnttab_map_grant_ref op{};
    op.host_addr = address;
    op.flags = flags;
    op.ref = ref;
    op.dom = granter.id.raw;
    op.status = 77;
    const long rc = grant_op(mapper, GNTTABOP_map_grant_ref, &op);
    if (rc != 0) op.status = 99;
    return op;
}
inline int unmap(Domain& mapper, u32 handle, u64 address, u64 bus = 0) {
    gnttab_unmap_grant_ref op{};
    op.host_addr = address;
    op.dev_bus_addr = bus;
    op.handle = handle;
    op.status = 77;
    return grant_op(mapper, GNTTABOP_unmap_grant_ref, &op) == 0 ? op.status : 99;
}

}  // namespace xylem::test
