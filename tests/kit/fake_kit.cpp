// SPDX-License-Identifier: MIT
#include "tests/kit/fake_kit.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "guest/kit/memory.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

namespace xylem {

namespace fake {
namespace {
std::unique_ptr<World> current;
}
World& world() {
    return *current;
}
void start_with(const std::string& device) {
    current = std::make_unique<World>();
    current->store["device/" + device + "/backend"] = "/back";
    current->store["device/" + device + "/backend-id"] = "0";
    current->store["/back/state"] = "4";
}
}  // namespace fake

using fake::world;

Nanos time::now() {
    return world().now;
}
void time::sleep_until(Nanos moment) {
    world().now = std::max(world().now, moment);
    world().backend();
}

// Pages of the tests stay until the end: a backend may hold them.
void* kit::allocate_pages(unsigned order) {
    if (world().no_memory) return nullptr;
    void* const pages = std::aligned_alloc(page_size, page_size << order);
    __builtin_memset(pages, 0, page_size << order);
    static std::vector<std::unique_ptr<void, decltype(&std::free)>> all;
    all.emplace_back(pages, &std::free);
    return pages;
}
void kit::free_pages(void*, unsigned) {}
Mfn kit::frame_of(Gfn pfn) {
    return Mfn(pfn.raw);
}

Result<grants::Ref> grants::lend(DomId, Mfn frame, Access access) {
    const auto ref = static_cast<Ref>(first_free_ref + world().grants.size());
    world().grants[ref] = {kit::address_of(Gfn(frame.raw)), access, false};
    return ref;
}
bool grants::end(Ref ref) {
    if (world().backend_keeps_pages) return false;
    world().grants.at(ref).ended = true;
    return true;
}

Result<u32> events::offer(DomId, Handler, void*) {
    return 7u;
}
long events::notify(u32) {
    ++world().notifications;
    world().backend();
    return 0;
}
long events::close(u32) {
    return 0;
}

Result<xenbus::Text> xenbus::read(std::string_view path) {
    const auto found = world().store.find(std::string(path));
    if (found == world().store.end()) return fail(XEN_ENOENT);
    Text t;
    t.write(found->second);
    return t;
}
Result<> xenbus::write(std::string_view path, std::string_view value) {
    world().store[std::string(path)] = value;
    return {};
}
Result<xenbus::Text> xenbus::list(std::string_view path) {
    Text t;
    const std::string start = std::string(path) + "/";
    std::string last;
    for (const auto& [name, value] : world().store) {
        if (!name.starts_with(start)) continue;
        const std::string child = name.substr(start.size(), name.find('/', start.size()) - start.size());
        if (child != last) t.write(child + '\0');
        last = child;
    }
    if (last.empty()) return fail(XEN_ENOENT);
    return t;
}
Result<u64> xenbus::wait_for_state(std::string_view other_end, u64 wanted, Nanos patience) {
    const Nanos end = time::now() + patience;
    while (time::now() < end) {
        const auto state = read_number(path("{}/state", other_end).view());
        if (state && *state >= XenbusStateClosing) return fail(XEN_ENODEV);
        if (state && *state >= wanted) return *state;
        time::sleep(20'000'000);
    }
    return fail(XEN_ETIME);
}

}  // namespace xylem
