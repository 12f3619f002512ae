// SPDX-License-Identifier: MIT
#include "guest/lib/frontend.hpp"

#include "guest/kit/memory.hpp"
#include "guest/lib/events.hpp"

namespace xylem::frontend {

Result<Place> find(std::string_view kind, unsigned number) {
    const xenbus::Text names = TRY(xenbus::list(xenbus::path("device/{}", kind).view()));
    std::string_view rest = names.view();
    for (unsigned i = 0; i < number; ++i) store::take_string(rest);
    const std::string_view name = store::take_string(rest);
    const auto id = text::parse_number(name);
    if (!id) return fail(XEN_ENODEV);
    Place p;
    p.id = *id;
    p.own = xenbus::path("device/{}/{}", kind, name);
    p.other = TRY(xenbus::read(xenbus::path("{}/backend", p.own.view()).view()));
    p.backend = DomId(static_cast<u16>(TRY(xenbus::read_number(xenbus::path("{}/backend-id", p.own.view()).view()))));
    return p;
}

Result<SharedPage> share_page(const Place& place, grants::Access access) {
    void* const page = kit::allocate_pages();
    if (page == nullptr) return fail(XEN_ENOMEM);
    const auto ref = grants::lend(place.backend, kit::frame_at(page), access);
    if (!ref) {
        kit::free_pages(page);
        return fail(ref.error());
    }
    return SharedPage{page, *ref};
}

Result<u32> offer_channel(const Place& place) {
    const u32 port = TRY(events::offer(place.backend, [](u32, void*) {}, nullptr));
    TRY(publish(place, "event-channel", port));
    return port;
}

Result<> publish(const Place& place, std::string_view name, u64 value) {
    return xenbus::write(xenbus::path("{}/{}", place.own.view(), name).view(), xenbus::path("{}", value).view());
}
Result<> set_state(const Place& place, u64 state) {
    return publish(place, "state", state);
}

Result<> wait_for_backend(const Place& place) {
    TRY(xenbus::wait_for_state(place.other.view(), XenbusStateConnected, patience));
    return {};
}

Result<> close(const Place& place) {
    TRY(set_state(place, XenbusStateClosing));
    (void)xenbus::wait_for_state(place.other.view(), XenbusStateClosing, patience);  // a backend that is gone closes nothing
    return set_state(place, XenbusStateClosed);
}

}  // namespace xylem::frontend
