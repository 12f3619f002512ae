// SPDX-License-Identifier: MIT
// The frontends of the guest kit on the host: a store that is a map, grants that are pointers, a clock that moves when somebody
// sleeps, and a backend that the test plays whenever the frontend notifies it or sleeps.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "guest/lib/frontend.hpp"

namespace xylem::fake {

struct Grant {
    void* page = nullptr;
    grants::Access access{};
    bool ended = false;
};

struct World {
    std::map<std::string, std::string> store;
    std::map<grants::Ref, Grant> grants;
    std::function<void()> backend = [] {};
    bool backend_keeps_pages = false;  // a grant cannot be ended
    bool no_memory = false;
    Nanos now = 1;
    u32 notifications = 0;

    void* page(grants::Ref ref) { return grants.at(ref).page; }
    // What the frontend wrote of itself.
    u32 number(const std::string& at) { return static_cast<u32>(std::stoul(store.at(at))); }
};
World& world();
// A new one for each test, with a device ("vbd/51712") whose backend is connected and keeps its facts under "/back".
void start_with(const std::string& device);

}  // namespace xylem::fake
