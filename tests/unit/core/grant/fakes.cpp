// SPDX-License-Identifier: MIT
// The machine around core/grant and core/mem. Everything is weak: where a program has the real function, that one runs.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/memory_info.hpp"
#include "core/port/preempt.hpp"
#include "tests/unit/core/grant/world.hpp"

#define FAKE [[gnu::weak]]

namespace xylem {

namespace log {
FAKE void emit(Level, std::string_view) {}
}  // namespace log
FAKE void panic_with(std::string_view reason) {
    std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(reason.size()), reason.data());
    std::abort();
}
FAKE void bug_at(const char* condition, const char* file, unsigned line) {
    std::fprintf(stderr, "BUG: %s at %s:%u\n", condition, file, line);
    std::abort();
}

FAKE DomainRef::~DomainRef() {
    if (d_ != nullptr) d_->references.fetch_sub(1);
}
FAKE DomainRef find_domain(DomId id) {
    if (id == domid_self) return DomainRef::share(test::world->current->domain);
    const auto found = test::world->domains.find(id.raw);
    return found == test::world->domains.end() ? DomainRef() : DomainRef::share(*found->second);
}
FAKE Result<DomainRef> find_domain_for(Domain& caller, DomId id) {
    DomainRef d = find_domain(id);
    if (!d) return fail(XEN_ESRCH);
    if (d.get() != &caller && !caller.is_control_domain) return fail(XEN_EPERM);
    return d;
}

namespace port {

FAKE Vcpu& current() {
    return *test::world->current;
}
static bool reachable(u64 va, usize size) {
    return !test::world->refuse_copy && va >= page_size && !layout::in_hypervisor(va) && va + size >= va &&
           layout::is_canonical(va);
}
FAKE bool copy_from_guest(void* to, u64 va, usize size) {
    if (size == 0) return true;
    if (!reachable(va, size)) return false;
    std::memcpy(to, reinterpret_cast<const void*>(va), size);
    return true;
}
FAKE bool copy_to_guest(u64 va, const void* from, usize size) {
    if (size == 0) return true;
    if (!reachable(va, size)) return false;
    std::memcpy(reinterpret_cast<void*>(va), from, size);
    return true;
}
FAKE void* frame_address(Mfn mfn) {
    return layout::direct_map(maddr_of(mfn));
}
FAKE Mfn gfn_to_mfn(Domain&, Gfn gfn) {
    return Mfn(gfn.raw);
}
FAKE void set_m2p(Mfn mfn, u64 pfn) {
    layout::m2p()[mfn.raw] = pfn;
}
FAKE u64 get_m2p(Mfn mfn) {
    return layout::m2p()[mfn.raw];
}
FAKE u32 tlb_clock() {
    return 1;
}
FAKE void flush_stale_tlbs(u32) {}
FAKE Result<> validate_typed_page(PageInfo&, PageType) {
    return {};
}
FAKE void invalidate_typed_page(PageInfo&, PageType) {}
FAKE void preemption_point() {
    ++test::world->preemptions;
    if (test::world->on_preempt) test::world->on_preempt();
}

FAKE Result<> map_grant_at(Vcpu&, u64 address, bool contains_pte, Mfn mfn, MapFlags flags) {
    if (test::world->refuse_map) return fail(XEN_EINVAL);
    if (layout::in_hypervisor(address)) return fail(XEN_EFAULT);
    test::world->clear_entry(address, contains_pte);
    test::world->entries[{address, contains_pte}] = {mfn, flags.readonly, flags.user, flags.avail_bits};
    return {};
}
FAKE Result<> unmap_grant_at(Vcpu&, u64 address, Mfn expected, bool contains_pte, bool readonly) {
    auto& entries = test::world->entries;
    const auto found = entries.find({address, contains_pte});
    if (found == entries.end() || found->second.mfn != expected || found->second.readonly != readonly) return fail(XEN_EINVAL);
    entries.erase(found);
    return {};
}
FAKE Result<> replace_grant_at(Vcpu& vcpu, u64 address, u64 new_address, Mfn expected, bool readonly) {
    TRY(unmap_grant_at(vcpu, address, expected, false, readonly));
    auto& entries = test::world->entries;
    const auto other = entries.find({new_address, false});
    if (other == entries.end()) return {};
    entries[{address, false}] = other->second;
    entries.erase({new_address, false});
    return {};
}
FAKE void flush_domain_tlbs(Domain&) {
    ++test::world->flushes;
    if (test::world->on_flush) test::world->on_flush();
}
FAKE Result<> allow_device_access(Domain&, Mfn mfn, bool writable) {
    if (test::world->refuse_device) return fail(XEN_ENOMEM);
    ++test::world->device_access[{mfn.raw, writable}];
    return {};
}
FAKE void revoke_device_access(Domain&, Mfn mfn, bool writable) {
    if (--test::world->device_access[{mfn.raw, writable}] == 0) test::world->device_access.erase({mfn.raw, writable});
}
FAKE std::span<const MemoryMapEntry> machine_memory_map() {
    return test::world->machine_map;
}
FAKE u64 m2p_extents() {
    return test::world->m2p_extents.size();
}
FAKE Mfn m2p_extent(u64 index) {
    return test::world->m2p_extents[index];
}
FAKE u64 maximum_guest_frame(Domain&) {
    return 0x1234;
}

}  // namespace port
}  // namespace xylem

namespace xylem::test {

World* world = nullptr;

namespace {
constexpr u64 machine_frames = 16384;  // 64 MiB
constexpr u64 first_free = 16;

void start_machine() {
    if (layout::host_ram != nullptr) return;
    layout::host_ram = static_cast<u8*>(std::aligned_alloc(64 * mib, machine_frames * page_size));
    layout::host_frame_table = static_cast<PageInfo*>(std::calloc(machine_frames, sizeof(PageInfo)));
    layout::host_m2p = static_cast<u64*>(std::calloc(machine_frames, sizeof(u64)));
    layout::host_frame_count = machine_frames;
    for (u64 i = 0; i < first_free; ++i) layout::host_frame_table[i].set_owner(domid_io);
    frames().add(Mfn(first_free), machine_frames - first_free);
}
}  // namespace

World::World() {
    start_machine();
    world = this;
    port::preemption_point();
    counts_preemptions = std::exchange(preemptions, u64{0}) != 0;
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
    if (!grant::create_table(d, limits)) std::abort();
    return d;
}

void World::remove_domain(Domain& d) {
    d.life = Life::dying;
    grant::release_all_mappings(d);
    domains.erase(d.id.raw);
    for (u64 i = first_free; i < layout::frame_count(); ++i) {
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
