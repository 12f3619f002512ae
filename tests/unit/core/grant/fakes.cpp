// SPDX-License-Identifier: MIT
// The machine around core/grant and core/mem: memory and domains are real, the page tables are a list of entries.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arch/host/guest_map.hpp"
#include "arch/host/machine.hpp"
#include "arch/host/memory.hpp"
#include "core/domain/domain_list.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

// The page tables of the tests: a list of entries.
class FakeTables final : public host::GuestMap {
   public:
    bool reachable(u64 va, usize size) override {
        return !world->refuse_copy && va >= page_size && !layout::in_hypervisor(va) && va + size >= va &&
               layout::is_canonical(va);
    }
    void preemption_point() override {
        ++world->preemptions;
        if (world->on_preempt) world->on_preempt();
    }
    Result<> map(u64 address, bool contains_pte, Mfn mfn, port::MapFlags flags) override {
        if (world->refuse_map) return fail(XEN_EINVAL);
        if (layout::in_hypervisor(address)) return fail(XEN_EFAULT);
        world->clear_entry(address, contains_pte);
        world->entries[{address, contains_pte}] = {mfn, flags.readonly, flags.user, flags.avail_bits};
        return {};
    }
    Result<> unmap(u64 address, Mfn expected, bool contains_pte, bool readonly) override {
        auto& entries = world->entries;
        const auto found = entries.find({address, contains_pte});
        if (found == entries.end() || found->second.mfn != expected || found->second.readonly != readonly)
            return fail(XEN_EINVAL);
        entries.erase(found);
        return {};
    }
    Result<> replace(Vcpu&, u64 address, u64 new_address, Mfn expected, bool readonly) override {
        TRY(unmap(address, expected, false, readonly));
        auto& entries = world->entries;
        const auto other = entries.find({new_address, false});
        if (other == entries.end()) return {};
        entries[{address, false}] = other->second;
        entries.erase({new_address, false});
        return {};
    }
    void flush() override {
        ++world->flushes;
        if (world->on_flush) world->on_flush();
    }
    Result<> allow_device(Mfn mfn, bool writable) override {
        if (world->refuse_device) return fail(XEN_ENOMEM);
        ++world->device_access[{mfn.raw, writable}];
        return {};
    }
    void revoke_device(Mfn mfn, bool writable) override {
        if (--world->device_access[{mfn.raw, writable}] == 0) world->device_access.erase({mfn.raw, writable});
    }
};
FakeTables fake_tables;

}  // namespace
}  // namespace xylem::test

namespace xylem::test {

World* world = nullptr;

World::World() {
    host::start_memory();
    world = this;
    host::guest_map = &fake_tables;
    counts_preemptions = true;
}

World::~World() {
    while (!domains.empty()) {
        Domain& d = *domains.begin()->second;
        remove_domain(d);
    }
    for (auto& d : owned) {
        if (d->references.load() != 1) {
            std::fprintf(stderr, "d%u: %u references left\n", d->id.raw, d->references.load());
            std::abort();
        }
        grant::destroy_table(*d);
        release_memory_map(*d);
    }
    world = nullptr;
    host::guest_map = nullptr;
    host::machine.current[0] = nullptr;
}

Domain& World::add_domain(u16 id, grant::Limits limits) {
    owned.push_back(std::make_unique<Domain>(DomId(id)));
    Domain& d = *owned.back();
    vcpus.push_back(std::make_unique<Vcpu>(d, VcpuId(0)));
    d.vcpus[0] = vcpus.back().get();
    d.max_vcpus = 1;
    d.max_pages = 4096;
    d.is_control_domain = id == 0;
    domains[id] = &d;
    if (!xylem::add_domain(d)) std::abort();
    if (!grant::create_table(d, limits)) std::abort();
    return d;
}

void World::remove_domain(Domain& d) {
    d.life = Life::dying;
    grant::release_all_mappings(d);
    domains.erase(d.id.raw);
    xylem::remove_domain(d);
    for (u64 i = host::first_free_frame; i < layout::frame_count(); ++i) {
        PageInfo& p = *find_page(Mfn(i));
        if (!p.load().has(PageState::free_bit) && p.load().has(PageState::owned_bit) && p.owner() == d.id)
            (void)release_domain_page(d, p);
    }
    // The fake keeps one set of page tables for all: entries go with the last domain.
    if (domains.empty())
        while (!entries.empty()) clear_entry(entries.begin()->first.first, entries.begin()->first.second);
}

Mfn World::page(Domain& d) {
    const auto mfn = allocate_domain_pages(d, 0);
    if (!mfn) std::abort();
    return *mfn;
}

void World::clear_entry(u64 address, bool contains_pte) {
    const auto found = entries.find({address, contains_pte});
    if (found == entries.end()) return;
    PageInfo& page = *find_page(found->second.mfn);
    if (found->second.readonly)
        put_reference(page);
    else
        put_writable(page);
    entries.erase(found);
}

namespace {
u8* table_frame(Domain& d, u32 index, bool status) {
    u64 mfn = 0;
    if (!d.grants->list_frames(index, std::span(&mfn, 1), status)) std::abort();
    return static_cast<u8*>(port::frame_address(Mfn(mfn)));
}
}  // namespace

grant_entry_v1_t& entry_v1(Domain& d, u32 ref) {
    return reinterpret_cast<grant_entry_v1_t*>(table_frame(d, ref / 512, false))[ref % 512];
}
grant_entry_v2_t& entry_v2(Domain& d, u32 ref) {
    return reinterpret_cast<grant_entry_v2_t*>(table_frame(d, ref / 256, false))[ref % 256];
}
u16& status_v2(Domain& d, u32 ref) {
    return reinterpret_cast<u16*>(table_frame(d, ref / 2048, true))[ref % 2048];
}

}  // namespace xylem::test
