// SPDX-License-Identifier: MIT
// Memory maps: the machine's for the control domain, and the one the tools store for a guest.
#include <algorithm>

#include "core/domain/domain.hpp"
#include "core/mem/memory_op.hpp"
#include "core/port/guest.hpp"

namespace xylem {
namespace memory {

// The largest map is 2.5 KiB: it is made on the heap, filled or read without a lock, and swapped in.
Result<long> set_memory_map(Vcpu& vcpu, u64 argument) {
    const auto op = TRY(GuestPtr<xen_foreign_memory_map>(argument).read());
    if (op.map.nr_entries > max_memory_map_entries) return fail(XEN_EINVAL);
    const DomainRef d = TRY(find_domain_for(vcpu.domain, DomId(op.domid)));
    if (!vcpu.domain.is_control_domain) return fail(XEN_EPERM);
    auto* map = static_cast<MemoryMap*>(heap_allocate(sizeof(MemoryMap)));
    if (map == nullptr) return fail(XEN_ENOMEM);
    map->count = op.map.nr_entries;
    auto filled = GuestPtr<MemoryMapEntry>(reinterpret_cast<u64>(op.map.buffer.p)).read_many(map->entries, map->count);
    if (filled) {
        Guard guard(d->lock);
        std::swap(d->memory_map, map);
    }
    if (map != nullptr) heap_release(map, sizeof(MemoryMap));  // the one before, or ours
    TRY(filled);
    return 0;
}

Result<long> memory_map(Vcpu& vcpu, u64 argument) {
    const GuestPtr<xen_memory_map> at(argument);
    const auto op = TRY(at.read());
    auto copy = make_own<MemoryMap>();
    if (!copy) return fail(XEN_ENOMEM);
    {
        Guard guard(vcpu.domain.lock);
        if (vcpu.domain.memory_map == nullptr) return fail(XEN_ENOSYS);
        *copy = *vcpu.domain.memory_map;
    }
    const u32 count = std::min<u32>(op.nr_entries, copy->count);
    TRY(GuestPtr<MemoryMapEntry>(reinterpret_cast<u64>(op.buffer.p)).write_many(copy->entries, count));
    TRY(field(at, &xen_memory_map::nr_entries).write(count));
    return 0;
}

// A null buffer asks for the number of entries.
Result<long> machine_memory_map(Vcpu& vcpu, u64 argument) {
    if (!vcpu.domain.is_control_domain) return fail(XEN_EPERM);
    const GuestPtr<xen_memory_map> at(argument);
    const auto op = TRY(at.read());
    const auto map = port::machine_memory_map();
    const GuestPtr<MemoryMapEntry> buffer(reinterpret_cast<u64>(op.buffer.p));
    const u32 all = static_cast<u32>(map.size());
    const u32 count = buffer.is_null() ? all : std::min<u32>(op.nr_entries, all);
    if (!buffer.is_null()) TRY(buffer.write_many(map.data(), count));
    TRY(field(at, &xen_memory_map::nr_entries).write(count));
    return 0;
}

}  // namespace memory

void release_memory_map(Domain& domain) {
    MemoryMap* map = std::exchange(domain.memory_map, nullptr);
    if (map != nullptr) heap_release(map, sizeof(MemoryMap));
}

}  // namespace xylem
