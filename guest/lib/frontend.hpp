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
// An event channel that the store tells the backend of. Frontends look at their rings by themselves: nothing is called.
Result<u32> offer_channel(const Place& place);
Result<> publish(const Place& place, std::string_view name, u64 value);
Result<> set_state(const Place& place, u64 state);
// Until the backend has taken what was published. XEN_ENODEV: it closes; XEN_ETIME.
Result<> wait_for_backend(const Place& place);
Result<> close(const Place& place);

}  // namespace xylem::frontend
