// SPDX-License-Identifier: MIT
// XENPF_efi_runtime_call and XEN_FW_EFI_INFO [ABI.md T26]: dom0's questions to the firmware. Everything dom0 points to is copied
// in before the call and out after it; the firmware never sees dom0's memory.
#include <algorithm>

#include "core/mem/heap.hpp"
#include "core/port/guest.hpp"
#include "cpu/layout.hpp"
#include "init/efi/services.hpp"
#include "init/firmware.hpp"
#include "init/hypervisor.hpp"

namespace xylem {
namespace {

// Longest variable name (characters) and value or name buffer (bytes) that is passed on.
constexpr usize longest_name = 2048;
constexpr usize longest_value = mib;

// Bytes of the heap for as long as a request lasts.
class Buffer {
   public:
    explicit Buffer(usize bytes) : bytes_(std::max<usize>(bytes, 16)), p_(heap_allocate(bytes_)) {}
    ~Buffer() {
        if (p_ != nullptr) heap_release(p_, bytes_);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    explicit operator bool() const { return p_ != nullptr; }
    template <class T>
    T* as() const {
        return static_cast<T*>(p_);
    }
    u64 address() const { return reinterpret_cast<u64>(p_); }

   private:
    usize bytes_;
    void* p_;
};

template <class T>
u64 address_of(T& object) {
    return reinterpret_cast<u64>(&object);
}

// A zero-terminated UTF-16 string of the guest's.
Result<> read_name(GuestPtr<u16> from, u16* to) {
    for (usize i = 0; i < longest_name; ++i) {
        to[i] = TRY(from.element(i).read());
        if (to[i] == 0) return {};
    }
    return fail(XEN_EINVAL);
}

void to_abi(const efi::Time& t, xenpf_efi_time& out) {
    out = {t.year, t.month, t.day, t.hour, t.minute, t.second, t.nanosecond, t.zone, t.daylight};
}
efi::Time from_abi(const xenpf_efi_time& t) {
    return {t.year, t.month, t.day, t.hour, t.min, t.sec, 0, t.ns, t.tz, t.daylight, 0};
}

Result<> no_flags(const xenpf_efi_runtime_call& call) {
    if (call.misc != 0) return fail(XEN_EINVAL);
    return {};
}

Result<> get_time(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    efi::Time time{};
    efi::TimeCapabilities capabilities{};
    op.status = efi::call(rs.get_time, address_of(time), address_of(capabilities));
    if (op.status != efi::success) return {};
    to_abi(time, op.u.get_time.time);
    op.u.get_time.resolution = capabilities.resolution;
    op.u.get_time.accuracy = capabilities.accuracy;
    if (capabilities.sets_to_zero) op.misc |= XEN_EFI_GET_TIME_SET_CLEARS_NS;
    return {};
}

Result<> set_time(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    efi::Time time = from_abi(op.u.set_time);
    op.status = efi::call(rs.set_time, address_of(time));
    return {};
}

Result<> get_wakeup_time(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    efi::Time time{};
    u8 enabled = 0;
    u8 pending = 0;
    op.status = efi::call(rs.get_wakeup_time, address_of(enabled), address_of(pending), address_of(time));
    if (op.status != efi::success) return {};
    if (enabled != 0) op.misc |= XEN_EFI_GET_WAKEUP_TIME_ENABLED;
    if (pending != 0) op.misc |= XEN_EFI_GET_WAKEUP_TIME_PENDING;
    to_abi(time, op.u.get_wakeup_time);
    return {};
}

Result<> set_wakeup_time(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    constexpr u32 known = XEN_EFI_SET_WAKEUP_TIME_ENABLE | XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY;
    if ((op.misc & ~known) != 0) return fail(XEN_EINVAL);
    efi::Time time = from_abi(op.u.set_wakeup_time);
    const bool only = (op.misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY) != 0;
    op.status =
        efi::call(rs.set_wakeup_time, (op.misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE) != 0 ? 1 : 0, only ? 0 : address_of(time));
    op.misc = 0;
    return {};
}

Result<> get_next_count(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    u32 count = 0;
    op.status = efi::call(rs.get_next_high_monotonic_count, address_of(count));
    op.misc = count;
    return {};
}

Result<> get_variable(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    auto& v = op.u.get_variable;
    const Buffer name(longest_name * sizeof(u16));
    u64 size = std::min<u64>(v.size, longest_value);
    const Buffer data(size);
    if (!name || !data) return fail(XEN_ENOMEM);
    TRY(read_name(GuestPtr<void*>(v.name).as<u16>(), name.as<u16>()));
    xenpf_efi_guid guid = v.vendor_guid;
    u32 attributes = 0;
    op.status = efi::call(rs.get_variable, name.address(), address_of(guid), address_of(attributes), address_of(size),
                          size != 0 ? data.address() : 0);
    if (op.status == efi::success) TRY(GuestPtr<void*>(v.data).as<u8>().write_many(data.as<u8>(), std::min<u64>(size, v.size)));
    op.misc = attributes;
    v.size = size;
    return {};
}

Result<> set_variable(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    auto& v = op.u.set_variable;
    if (v.size > longest_value) return fail(XEN_ENOMEM);
    const Buffer name(longest_name * sizeof(u16));
    const Buffer data(v.size);
    if (!name || !data) return fail(XEN_ENOMEM);
    TRY(read_name(GuestPtr<void*>(v.name).as<u16>(), name.as<u16>()));
    TRY(GuestPtr<void*>(v.data).as<u8>().read_many(data.as<u8>(), v.size));
    xenpf_efi_guid guid = v.vendor_guid;
    op.status = efi::call(rs.set_variable, name.address(), address_of(guid), op.misc, v.size, data.address());
    return {};
}

Result<> get_next_variable_name(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    TRY(no_flags(op));
    auto& v = op.u.get_next_variable_name;
    u64 size = std::min<u64>(v.size, longest_name * sizeof(u16));
    // The former name comes in at its full length, whatever the room for the next one.
    const Buffer name(longest_name * sizeof(u16));
    if (!name) return fail(XEN_ENOMEM);
    const GuestPtr<u16> at = GuestPtr<void*>(v.name).as<u16>();
    TRY(at.read_many(name.as<u16>(), size / sizeof(u16)));
    xenpf_efi_guid guid = v.vendor_guid;
    const u64 room = size;
    op.status = efi::call(rs.get_next_variable_name, address_of(size), name.address(), address_of(guid));
    if (op.status == efi::success) TRY(at.write_many(name.as<u16>(), std::min(size, room) / sizeof(u16)));
    v.size = size;
    v.vendor_guid = guid;
    return {};
}

Result<> query_variable_info(xenpf_efi_runtime_call& op, const efi::RuntimeServices& rs) {
    if ((op.misc & ~u32{XEN_EFI_VARINFO_BOOT_SNAPSHOT}) != 0) return fail(XEN_EINVAL);
    if (rs.header.revision < efi::revision_2_0) return fail(XEN_EOPNOTSUPP);
    auto& v = op.u.query_variable_info;
    u64 store = 0;
    u64 remaining = 0;
    u64 largest = 0;
    op.status = efi::call(rs.query_variable_info, v.attr, address_of(store), address_of(remaining), address_of(largest));
    v.max_store_size = store;
    v.remain_store_size = remaining;
    v.max_size = largest;
    return {};
}

Result<> vendor(xenpf_firmware_info& info, const efi::SystemTable& system) {
    auto& v = info.u.efi_info.vendor;
    v.revision = system.vendor_revision;
    const GuestPtr<u16> to = GuestPtr<void*>(v.name).as<u16>();
    constexpr u32 longest = 256;
    const u64 covered = std::max(layout::frame_count() << page_shift, 4 * gib);
    const bool readable = system.vendor != 0 && system.vendor < covered - longest * sizeof(u16);
    const u16* text = static_cast<const u16*>(layout::direct_map(Maddr(system.vendor)));
    for (u32 i = 0; i < std::min<u32>(v.bufsz / sizeof(u16), longest); ++i) {
        const u16 c = readable ? text[i] : u16{0};
        TRY(to.element(i).write(c));
        if (c == 0) break;
    }
    return {};
}

Result<> memory_info(xenpf_firmware_info& info) {
    auto& m = info.u.efi_info.mem;
    for (const EfiRegion& r : hypervisor().boot.efi_memory()) {
        if (m.addr < r.start || m.addr - r.start >= r.bytes) continue;
        const u64 left = r.bytes - (m.addr - r.start);
        if (m.size == 0 || left < m.size) m.size = left;
        m.attr = r.attributes;
        m.type = r.type;
        return {};
    }
    return fail(XEN_ESRCH);
}

}  // namespace

Result<> efi_info(xenpf_firmware_info& info) {
    const efi::SystemTable* system = efi::system_table();
    if (system == nullptr) return fail(XEN_ENOSYS);
    auto& out = info.u.efi_info;
    switch (info.index) {
        case XEN_FW_EFI_VERSION: out.version = system->header.revision; return {};
        case XEN_FW_EFI_CONFIG_TABLE:
            out.cfg.addr = system->tables;
            out.cfg.nent = static_cast<u32>(system->table_count);
            return {};
        case XEN_FW_EFI_VENDOR: return vendor(info, *system);
        case XEN_FW_EFI_MEM_INFO: return memory_info(info);
        case XEN_FW_EFI_RT_VERSION:
            if (efi::runtime_services() == nullptr) return fail(XEN_EOPNOTSUPP);
            out.version = efi::runtime_services()->header.revision;
            return {};
        // Both are gone with the firmware's boot services, which the loader ended.
        case XEN_FW_EFI_PCI_ROM: return fail(XEN_ENOENT);
        case XEN_FW_EFI_APPLE_PROPERTIES: return fail(XEN_ENODATA);
        default: return fail(XEN_EINVAL);
    }
}

Result<> efi_runtime_call(xenpf_efi_runtime_call& op) {
    const efi::RuntimeServices* rs = efi::runtime_services();
    if (rs == nullptr) return fail(efi::system_table() == nullptr ? XEN_ENOSYS : XEN_EOPNOTSUPP);
    switch (op.function) {
        case XEN_EFI_get_time: return get_time(op, *rs);
        case XEN_EFI_set_time: return set_time(op, *rs);
        case XEN_EFI_get_wakeup_time: return get_wakeup_time(op, *rs);
        case XEN_EFI_set_wakeup_time: return set_wakeup_time(op, *rs);
        case XEN_EFI_get_next_high_monotonic_count: return get_next_count(op, *rs);
        case XEN_EFI_get_variable: return get_variable(op, *rs);
        case XEN_EFI_set_variable: return set_variable(op, *rs);
        case XEN_EFI_get_next_variable_name: return get_next_variable_name(op, *rs);
        case XEN_EFI_query_variable_info: return query_variable_info(op, *rs);
        default: return fail(XEN_ENOSYS);  // capsules: as real Xen
    }
}

}  // namespace xylem
