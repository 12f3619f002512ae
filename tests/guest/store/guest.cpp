// SPDX-License-Identifier: MIT
// The kit's own store: server and client in one kernel, talking over a ring and an event channel as two domains would.
#include "guest/kit/memory.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/store_service.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"
#include "guest/lib/xenbus.hpp"

using namespace xylem;
using namespace xylem::kit;

void kit::guest_main() {
    events::start();
    time::start();
    unmask_events();
    auto* ring = static_cast<xenstore_domain_interface*>(allocate_pages());
    const auto port = events::offer(DomId(DOMID_SELF), [](u32, void*) {});
    if (!port) story::error("no event channel");
    story::succeeds("serve", store::serve(DomId(3), ring, DomId(DOMID_SELF), *port));
    story::succeeds("connect", xenbus::start_with(ring, *port, false));
    store::server().set("/vm/name", "three");
    const auto name = xenbus::read("/vm/name");
    story::show_text("read", name ? name->view() : "error");
    story::succeeds("write", xenbus::write("device/state", "4"));
    story::show_text("the server has it", store::server().get("/local/domain/3/device/state"));
    const auto number = xenbus::read_number("device/state");
    story::equal("read number", number ? static_cast<i64>(*number) : -1, 4);
    story::answers("write elsewhere", xenbus::write("/local/domain/4/x", "y"), XEN_EACCES);
    story::succeeds("watch", xenbus::watch("/vm", "token"));
    const auto first = xenbus::next_event(time::now() + 1'000'000'000);
    story::show_text("watch fires", first ? first->view() : "no");
    store::server().set("/vm/name", "changed");
    story::succeeds("any request brings the event", xenbus::write("device/x", "1"));
    const auto second = xenbus::next_event(time::now() + 1'000'000'000);
    story::show_text("event", second ? second->view() : "no");
    const auto names = xenbus::list("device");
    story::equal("names of two children", names ? static_cast<i64>(names->view().size()) : 0, 8);
    story::succeeds("remove", xenbus::remove("device"));
    const auto gone = xenbus::read("device/state");
    story::is("gone", !gone && gone.error() == XEN_ENOENT);
    // A client that lies about its indices loses its ring, nobody else anything.
    ring->req_prod += 5000;
    events::notify(*port);
    story::equal("broken ring is closed", store::closed_rings(), 1);
    story::show_text("the server lives", store::server().get("/vm/name"));
    mask_events();
    story::end();
}
