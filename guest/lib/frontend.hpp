// SPDX-License-Identifier: MIT
// What every frontend does: finds its place in the store, lends pages to the backend, offers an event channel, and meets the
// other end.
#pragma once

#include "guest/lib/grants.hpp"
#include "guest/lib/xenbus.hpp"

namespace xylem::frontend {

inline constexpr Nanos patience = 60'000'000'000;

struct Place {
    xenbus::Text own;    // device/KIND/ID, relative to the domain
    xenbus::Text other;  // the backend's directory
    DomId backend{};
    u64 id = 0;
};
// The n-th device of a kind.
Result<Place> find(std::string_view kind, unsigned number = 0);

// A page that the backend may use, and its reference.
struct SharedPage {
    void* memory;
    grants::Ref ref;
};
Result<SharedPage> share_page(const Place& place, grants::Access access = grants::Access::read_write);
Result<u32> offer_channel(const Place& place, void (*handler)(u32, void*), void* argument);
Result<> publish(const Place& place, std::string_view name, u64 value);
Result<> set_state(const Place& place, u64 state);
Result<> close(const Place& place);

}  // namespace xylem::frontend
