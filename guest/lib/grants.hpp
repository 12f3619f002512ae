// SPDX-License-Identifier: MIT
// Pages lent to other domains, and pages borrowed from them: grant table of version 1.
#pragma once

#include "abi/xen.hpp"
#include "base/result.hpp"

namespace xylem::grants {

using Ref = u32;
inline constexpr u32 first_free_ref = 8;  // the ones below are agreed upon with the toolstack

// Maps the table; `frames` of 512 entries each.
Result<> start(u32 frames = 1);
grant_entry_v1_t* table();
u32 entry_count();

enum class Access : u16 { read_write = 0, read_only = GTF_readonly };
Result<Ref> lend(DomId to, Mfn frame, Access access);
// False while the other domain still has the page: keep it then, it is not ours alone.
bool end(Ref ref);

// A page of another domain at `va`, which must have an L1 table.
struct Mapping {
    u64 va;
    u32 handle;
    Maddr bus_address;
};
struct Status {
    i16 code;  // GNTST_okay or what went wrong
};
std::expected<Mapping, Status> borrow(DomId from, Ref ref, u64 va, u32 flags = GNTMAP_host_map);
i16 give_back(const Mapping& mapping);

}  // namespace xylem::grants
