// SPDX-License-Identifier: MIT
#include "arch/x86/pv/pte.hpp"

#include "arch/x86/domain/features.hpp"
#include "core/port/io_rights.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"

namespace xylem::pv {
namespace {

constexpr u64 l1_allowed = bits::present | bits::writable | bits::user | bits::accessed | bits::dirty | bits::global |
                           bits::cache | bits::available | bits::no_execute | bits::frame;
constexpr u64 upper_allowed =
    bits::present | bits::writable | bits::user | bits::accessed | bits::dirty | bits::available | bits::no_execute | bits::frame;

constexpr PageType table_type(unsigned level) {
    return static_cast<PageType>(level);
}

Result<> acquire_device_l1(Domain& mapper, u64& entry) {
    const Mfn mfn = frame_of(entry);
    // Address bits that the CPU does not have are reserved: translations through such an entry fault.
    if (mfn.raw >> (features().physical_bits - page_shift) != 0) return fail(XEN_EPERM);
    if (!port::may_map_device_frames(mapper, mfn, mfn)) return fail(XEN_EPERM);
    // Device memory is never cached, whatever the guest asked (write-combining is entry 4 of the fixed PAT and stays).
    const u64 cache = entry & bits::cache;
    if (cache == 0 || cache == bits::write_through || cache == (bits::large_or_pat | bits::write_through))
        entry = (entry & ~bits::cache) | bits::cache_disable | bits::write_through;
    if (port::is_read_only_device_frame(mfn)) entry &= ~bits::writable;
    return {};
}

}  // namespace

Result<> acquire_l1(Domain& mapper, DomId owner, u64& entry) {
    if (!is_present(entry)) return {};
    if ((entry & ~l1_allowed) != 0) return fail(XEN_EINVAL);
    // The guest kernel runs at ring 3; and what is global would outlive the flushes that types and owners depend on.
    entry = (entry | bits::user) & ~bits::global;
    PageInfo* page = find_page(frame_of(entry));
    if (page == nullptr || page->load().is_device()) [[unlikely]]
        return acquire_device_l1(mapper, entry);
    if ((entry & bits::cache) != 0 && !port::may_choose_caching(mapper)) [[unlikely]]
        return fail(XEN_EINVAL);
    if ((entry & bits::writable) != 0) {
        if (get_writable(*page, owner)) return {};
        return fail(page->owner() == owner ? XEN_EBUSY : XEN_EINVAL);
    }
    if (get_reference(*page, owner)) return {};
    return fail(XEN_EINVAL);
}

void release_l1(u64 entry) {
    if (!is_present(entry)) return;
    PageInfo* page = find_page(frame_of(entry));
    if (page == nullptr || page->load().has(PageState::io_bit)) [[unlikely]]
        return;
    if ((entry & bits::writable) != 0) {
        put_writable(*page);
    } else {
        put_reference(*page);
    }
}

Result<> acquire_entry(Domain& mapper, DomId owner, unsigned level, u64& entry) {
    if (level == 1) return acquire_l1(mapper, owner, entry);
    if (!is_present(entry)) return {};
    if ((entry & ~upper_allowed) != 0) return fail(XEN_EINVAL);
    entry |= bits::user;
    // Tables are always the mapper's own.
    return get_typed(find_page(frame_of(entry)), mapper.id, table_type(level - 1));
}

void release_entry(unsigned level, u64 entry) {
    if (level == 1) return release_l1(entry);
    if (is_present(entry)) put_typed(*find_page(frame_of(entry)));
}

}  // namespace xylem::pv
