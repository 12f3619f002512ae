// SPDX-License-Identifier: MIT
// The firmware's own structures [UEFI 2.10, chapters 4, 7 and 8]. Times and GUIDs have the form Xen's interface gives them.
#pragma once

#include "base/types.hpp"

namespace xylem::efi {

using Status = u64;
inline constexpr Status success = 0;

struct Header {
    u64 signature;
    u32 revision;
    u32 header_size;
    u32 crc32;
    u32 reserved;
};

struct SystemTable {
    Header header;
    u64 vendor;  // UTF-16 text, ended by 0
    u32 vendor_revision;
    u64 console_in_handle, console_in, console_out_handle, console_out, error_handle, error;
    u64 runtime_services;
    u64 boot_services;
    u64 table_count;
    u64 tables;  // ConfigurationTable[table_count]
};
static_assert(sizeof(SystemTable) == 120);

struct ConfigurationTable {
    u8 guid[16];
    u64 address;
};

// Entry points, called with Microsoft's x64 convention.
struct RuntimeServices {
    Header header;
    u64 get_time, set_time, get_wakeup_time, set_wakeup_time;
    u64 set_virtual_address_map, convert_pointer;
    u64 get_variable, get_next_variable_name, set_variable;
    u64 get_next_high_monotonic_count, reset_system;
    u64 update_capsule, query_capsule_capabilities, query_variable_info;
};
static_assert(sizeof(RuntimeServices) == 136);

struct MemoryDescriptor {
    u32 type;
    u32 reserved;
    u64 physical_start;
    u64 virtual_start;
    u64 pages;
    u64 attributes;
};
static_assert(sizeof(MemoryDescriptor) == 40);

struct Time {
    u16 year;
    u8 month, day, hour, minute, second, reserved1;
    u32 nanosecond;
    i16 zone;
    u8 daylight, reserved2;
};
static_assert(sizeof(Time) == 16);

struct TimeCapabilities {
    u32 resolution, accuracy;
    bool sets_to_zero;
};

inline constexpr u64 system_table_signature = 0x5453'5953'2049'4249;  // "IBI SYST"
inline constexpr u32 runtime_services_code = 5;
inline constexpr u64 memory_write_back = 8;
inline constexpr u64 memory_runtime = u64{1} << 63;
inline constexpr u32 revision_2_0 = 2 << 16;
enum class Reset : u32 { cold = 0, warm = 1 };

}  // namespace xylem::efi
