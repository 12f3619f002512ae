// SPDX-License-Identifier: MIT
// Event channels: every operation's good and bad path, masks and upcalls, over both tables [ABI 4.5, 5.2]. fifo=1 on the command
// line chooses the queues.
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

u32 log_of_ports[16];
unsigned logged;
void note(u32 port, void*) {
    if (logged < std::size(log_of_ports)) log_of_ports[logged] = port;
    ++logged;
}

long alloc(u16 dom, u16 remote, u32& port) {
    evtchn_alloc_unbound_t r{.dom = dom, .remote_dom = remote, .port = 0};
    const long result = event_channel_op(EVTCHNOP_alloc_unbound, &r);
    port = r.port;
    return result;
}
long status(u32 port, evtchn_status_t& s, u16 dom = DOMID_SELF) {
    s = {};
    s.dom = dom;
    s.port = port;
    return event_channel_op(EVTCHNOP_status, &s);
}

void bad_arguments() {
    for (unsigned op = 0; op <= 14; ++op) {
        text::FixedText<40> name;
        text::format(name, "bad/{} from nowhere", op);
        story::show(name.view(), event_channel_op(op, reinterpret_cast<void*>(0x1000)));
    }
    u32 port;
    story::show("bad/alloc for domain 5", alloc(5, 0, port));
    story::show("bad/alloc in domain 5", alloc(DOMID_SELF, 0x7fff, port));
    if (alloc(DOMID_SELF, 0x7fff, port) == 0) events::close(port);
    story::show("bad/send to 0", events::notify(0));
    story::show("bad/send to a free port", events::notify(100));
    story::show("bad/send beyond", events::notify(5000000));
    evtchn_close_t c{.port = 100};
    story::show("bad/close a free port", event_channel_op(EVTCHNOP_close, &c));
    c.port = 0;
    story::show("bad/close port 0", event_channel_op(EVTCHNOP_close, &c));
    c.port = 5000000;
    story::show("bad/close beyond", event_channel_op(EVTCHNOP_close, &c));
    evtchn_bind_virq_t v{.virq = 24, .vcpu = 0, .port = 0};
    story::show("bad/virq 24", event_channel_op(EVTCHNOP_bind_virq, &v));
    v = {.virq = VIRQ_DEBUG, .vcpu = 31, .port = 0};
    story::show("bad/virq of no vCPU", event_channel_op(EVTCHNOP_bind_virq, &v));
    v = {.virq = VIRQ_CONSOLE, .vcpu = 1, .port = 0};
    story::show("bad/global virq on vCPU 1", event_channel_op(EVTCHNOP_bind_virq, &v));
    evtchn_bind_ipi_t i{.vcpu = 31, .port = 0};
    story::show("bad/ipi of no vCPU", event_channel_op(EVTCHNOP_bind_ipi, &i));
    evtchn_bind_pirq_t p{.pirq = 5000, .flags = 0, .port = 0};
    story::show("bad/pirq 5000", event_channel_op(EVTCHNOP_bind_pirq, &p));
    p.pirq = 3;
    story::show("bad/pirq that is not mapped", event_channel_op(EVTCHNOP_bind_pirq, &p));
    evtchn_unmask_t u{.port = 5000000};
    story::show("bad/unmask beyond", event_channel_op(EVTCHNOP_unmask, &u));
    u.port = 100;
    story::show("bad/unmask a free port", event_channel_op(EVTCHNOP_unmask, &u));
    evtchn_bind_interdomain_t b{.remote_dom = 5, .remote_port = 1, .local_port = 0};
    story::show("bad/interdomain with domain 5", event_channel_op(EVTCHNOP_bind_interdomain, &b));
    b = {.remote_dom = DOMID_SELF, .remote_port = 100, .local_port = 0};
    story::show("bad/interdomain with a free port", event_channel_op(EVTCHNOP_bind_interdomain, &b));
    b.remote_port = 5000000;
    story::show("bad/interdomain beyond", event_channel_op(EVTCHNOP_bind_interdomain, &b));
    evtchn_status_t s;
    story::show("bad/status beyond", status(5000000, s));
    story::show("bad/status of domain 5", status(1, s, 5));
    evtchn_bind_vcpu_t w{.port = 100, .vcpu = 0};
    story::show("bad/bind_vcpu of a free port", event_channel_op(EVTCHNOP_bind_vcpu, &w));
    evtchn_reset_t r{.dom = 5};
    story::show("bad/reset of domain 5", event_channel_op(EVTCHNOP_reset, &r));
}

void kinds_and_status() {
    u32 port;
    story::succeeds("status/alloc", alloc(DOMID_SELF, DOMID_SELF, port));
    evtchn_status_t s;
    status(port, s);
    story::equal("status/unbound", s.status, EVTCHNSTAT_unbound);
    story::show("status/unbound's domain", s.u.unbound.dom);
    story::show("status/send to unbound", events::notify(port));
    const auto other = events::bind_interdomain(DomId(DOMID_SELF), port, note);
    story::is("status/bind_interdomain with self", other.has_value());
    status(port, s);
    story::equal("status/interdomain", s.status, EVTCHNSTAT_interdomain);
    story::is("status/its peer", s.u.interdomain.port == *other);
    evtchn_bind_interdomain_t again{.remote_dom = DOMID_SELF, .remote_port = port, .local_port = 0};
    story::show("status/bound twice", event_channel_op(EVTCHNOP_bind_interdomain, &again));
    evtchn_bind_vcpu_t move{.port = port, .vcpu = 31};
    story::show("status/bind to no vCPU", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    move.vcpu = 0;
    story::succeeds("status/bind to vCPU 0", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    events::close(*other);
    status(port, s);
    story::equal("status/unbound again after the peer closed", s.status, EVTCHNSTAT_unbound);
    events::close(port);
    status(port, s);
    story::equal("status/closed", s.status, EVTCHNSTAT_closed);

    const auto virq = events::bind_virq(VIRQ_DEBUG, 0, note);
    status(*virq, s);
    story::equal("status/virq", s.status, EVTCHNSTAT_virq);
    story::equal("status/virq's number", s.u.virq, VIRQ_DEBUG);
    evtchn_bind_virq_t twice{.virq = VIRQ_DEBUG, .vcpu = 0, .port = 0};
    story::show("status/virq twice", event_channel_op(EVTCHNOP_bind_virq, &twice));
    move = {.port = *virq, .vcpu = 0};
    story::show("status/per-vCPU virq moved", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    story::show("status/send to a virq", events::notify(*virq));
    events::close(*virq);
    const auto ipi = events::bind_ipi(0, note);
    status(*ipi, s);
    story::equal("status/ipi", s.status, EVTCHNSTAT_ipi);
    move.port = *ipi;
    story::show("status/ipi moved", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    events::close(*ipi);
    for (const u32 global : {2u, 3u, 4u, 6u, 8u, 9u, 10u, 11u, 12u, 16u, 23u}) {
        evtchn_bind_virq_t v{.virq = global, .vcpu = 0, .port = 0};
        text::FixedText<40> name;
        text::format(name, "status/bind virq {}", global);
        story::show(name.view(), event_channel_op(EVTCHNOP_bind_virq, &v));
        if (v.port != 0) events::close(v.port);
    }
}

void delivery() {
    mask_events();
    const auto ipi = events::bind_ipi(0, note);
    if (!ipi) story::error("no ipi");
    logged = 0;
    story::succeeds("delivery/send", events::notify(*ipi));
    story::equal("delivery/held back by the mask", logged, 0);
    story::is("delivery/pending", events::is_pending(*ipi));
    story::equal("delivery/upcall pending", this_cpu().info->evtchn_upcall_pending, 1);
    unmask_events();
    story::equal("delivery/taken when the mask opens", logged, 1);
    events::notify(*ipi);
    story::equal("delivery/taken at once", logged, 2);
    events::mask(*ipi);
    events::notify(*ipi);
    story::equal("delivery/port masked", logged, 2);
    story::is("delivery/pending behind its mask", events::is_pending(*ipi));
    events::unmask(*ipi);
    story::equal("delivery/taken when the port opens", logged, 3);
    mask_events();
    events::notify(*ipi);
    events::notify(*ipi);
    block();
    story::equal("delivery/two sends are one event; block takes it", logged, 4);
    story::is("delivery/block opened the mask", !events_masked());
    mask_events();
    // Poll wakes for a port although events are masked, and does not take it.
    events::mask(*ipi);
    events::notify(*ipi);
    evtchn_port_t port = *ipi;
    sched_poll_t poll{};
    poll.nr_ports = 1;
    poll.timeout = 0;
    set_xen_guest_handle_raw(poll.ports, &port);
    story::succeeds("delivery/poll returns", sched_op(SCHEDOP_poll, &poll));
    story::is("delivery/and leaves it pending", events::is_pending(*ipi));
    events::clear(*ipi);
    events::unmask(*ipi);
    events::close(*ipi);
    story::show("delivery/send after close", events::notify(*ipi));
}

void loop_back() {
    const auto one = events::offer(DomId(DOMID_SELF), note);
    const auto two = events::bind_interdomain(DomId(DOMID_SELF), *one, note);
    logged = 0;
    unmask_events();
    // Binding raises the new end once, so that nothing sent before is lost.
    story::show("loop/events by binding", logged);
    logged = 0;
    events::notify(*one);
    story::equal("loop/one reaches two", logged == 1 && log_of_ports[0] == *two, 1);
    events::notify(*two);
    story::equal("loop/two reaches one", logged == 2 && log_of_ports[1] == *one, 1);
    mask_events();
    events::close(*one);
    story::show("loop/send to the side that stayed", events::notify(*two));
    events::close(*two);
}

void priorities() {
    const auto a = events::bind_ipi(0, note), b = events::bind_ipi(0, note), c = events::bind_ipi(0, note),
               d = events::bind_ipi(0, note);
    story::show("priority/of a", events::set_priority(*a, 9));
    story::show("priority/of b", events::set_priority(*b, 2));
    story::show("priority/of c", events::set_priority(*c, 15));
    story::show("priority/16", events::set_priority(*c, 16));
    story::show("priority/of a free port", events::set_priority(900, 3));
    mask_events();
    logged = 0;
    for (const auto& p : {a, c, d, b}) events::notify(*p);
    unmask_events();
    mask_events();
    text::FixedText<40> order;
    for (unsigned i = 0; i < logged; ++i)
        order.write(log_of_ports[i] == *a ? "a" : log_of_ports[i] == *b ? "b" : log_of_ports[i] == *c ? "c" : "d");
    story::show_text("priority/order", order.view());
    for (const auto& p : {a, b, c, d}) events::close(*p);
}

void fifo_set_up() {
    evtchn_expand_array_t expand{.array_gfn = frame_at(allocate_pages()).raw};
    story::show("fifo/expand before init", event_channel_op(EVTCHNOP_expand_array, &expand));
    void* const page = allocate_pages();
    evtchn_init_control_t c{};
    c.control_gfn = frame_at(page).raw;
    c.offset = 4096 - 8;
    story::show("fifo/control block across the page's end", event_channel_op(EVTCHNOP_init_control, &c));
    c.offset = 4;
    story::show("fifo/control block not aligned", event_channel_op(EVTCHNOP_init_control, &c));
    c.offset = 0;
    c.vcpu = 31;
    story::show("fifo/control block of no vCPU", event_channel_op(EVTCHNOP_init_control, &c));
    c.vcpu = 0;
    c.control_gfn = 0xfffffffff;
    story::show("fifo/control block beyond memory", event_channel_op(EVTCHNOP_init_control, &c));
    c.control_gfn = frame_at(kernel_root()).raw;
    story::show("fifo/control block in a table", event_channel_op(EVTCHNOP_init_control, &c));
    // An event that is pending in the old tables is not lost.
    mask_events();
    const auto early = events::bind_ipi(0, note);
    logged = 0;
    events::notify(*early);
    story::succeeds("fifo/init", events::use_fifo());
    unmask_events();
    mask_events();
    story::show("fifo/the pending event came over", logged);
    events::close(*early);
    c.control_gfn = frame_at(page).raw;
    story::show("fifo/init again", event_channel_op(EVTCHNOP_init_control, &c));
    expand.array_gfn = 0xfffffffff;
    story::show("fifo/expand beyond memory", event_channel_op(EVTCHNOP_expand_array, &expand));
    expand.array_gfn = frame_at(kernel_root()).raw;
    story::show("fifo/expand by a table", event_channel_op(EVTCHNOP_expand_array, &expand));
}

void until_full() {
    u32 first = 0, port = 0, count = 0;
    long r = 0;
    while (count < 5000 && (r = alloc(DOMID_SELF, DOMID_SELF, port)) == 0) {
        if (first == 0) first = port;
        ++count;
    }
    story::show("full/ends with", r);
    story::remark("{} ports, {} to {}", count, first, port);
    if (!events::is_fifo()) story::show("full/count", count + first);
    if (!is_dom0()) {  // a reset would take the console's channel, too
        for (u32 i = 0; i < count; ++i) events::close(first + i);
        return;
    }
    evtchn_reset_t reset{.dom = DOMID_SELF};
    story::show("full/reset", event_channel_op(EVTCHNOP_reset, &reset));
    story::show("full/after the reset", alloc(DOMID_SELF, DOMID_SELF, port));
}

}  // namespace

void kit::guest_main() {
    events::start();
    if (!option("fifo").empty()) fifo_set_up();
    bad_arguments();
    kinds_and_status();
    delivery();
    loop_back();
    priorities();
    until_full();
    story::end();
}
