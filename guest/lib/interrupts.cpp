// SPDX-License-Identifier: MIT
#include "guest/lib/interrupts.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/console.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/irq_space.hpp"
#include "guest/lib/storm_guard.hpp"
#include "guest/lib/time.hpp"

namespace xylem::interrupts {
namespace {

using Space = IrqSpace<64>;
struct Line {
    Handler handler;
    void* argument;
    u32 pirq, port;
    bool needs_eoi;
    StormGuard guard;
};
Space space;
Line lines[64]{};
u32 storm_count, limit = storm_limit;

Result<> answer(long r) {
    if (r < 0) return fail(static_cast<Errno>(-r));
    return {};
}

void end_of_interrupt(const Line& line) {
    if (!line.needs_eoi) return;
    physdev_eoi_t request{.irq = line.pirq};
    kit::call_physdev(PHYSDEVOP_eoi, &request);
}

void on_port(u32 port, void* argument) {
    auto& line = *static_cast<Line*>(argument);
    if (line.guard.is_storm(time::now(), limit)) {
        ++storm_count;
        events::mask(port);
        kit::print("interrupts: more than {} of pirq {} within a second; it stays masked", limit, line.pirq);
        return;
    }
    line.handler(line.argument);
    end_of_interrupt(line);
}

// From pirq to handler; undone by the caller when it fails.
Result<> bind(u32 irq, u32 pirq, bool shared, Handler handler, void* argument) {
    Line& line = lines[irq];
    line = {handler, argument, pirq, 0, true, {}};
    physdev_irq_status_query_t query{.irq = pirq, .flags = 0};
    if (kit::call_physdev(PHYSDEVOP_irq_status_query, &query) == 0) line.needs_eoi = (query.flags & XENIRQSTAT_needs_eoi) != 0;
    line.port = TRY(events::bind_pirq(pirq, shared, on_port, &line));
    end_of_interrupt(line);  // what came before anybody listened must not block the line
    return {};
}

Result<u32> map(physdev_map_pirq_t& request) {
    request.domid = DOMID_SELF;
    if (const long r = kit::call_physdev(PHYSDEVOP_map_pirq, &request); r < 0) return fail(static_cast<Errno>(-r));
    return static_cast<u32>(request.pirq);
}

Result<u32> connect_message(physdev_map_pirq_t& request, Handler handler, void* argument) {
    const u32 pirq = TRY(map(request));
    const auto irq = space.for_msi(pirq);
    if (!irq) return fail(XEN_ENOSPC);
    if (const auto r = bind(*irq, pirq, false, handler, argument); !r) {
        space.release(*irq);
        physdev_unmap_pirq_t undo{.domid = DOMID_SELF, .pirq = static_cast<int>(pirq)};
        kit::call_physdev(PHYSDEVOP_unmap_pirq, &undo);
        return fail(r.error());
    }
    return *irq;
}

}  // namespace

u32 storms() {
    return storm_count;
}

void set_storm_limit(u32 per_second) {
    limit = per_second;
}

Result<u32> connect_gsi(u32 gsi, bool level, bool low, Handler handler, void* argument) {
    physdev_map_pirq_t request{};
    request.type = MAP_PIRQ_TYPE_GSI;
    request.index = request.pirq = static_cast<int>(gsi);
    const u32 pirq = TRY(map(request));
    physdev_setup_gsi_t mode{.gsi = static_cast<int>(gsi), .triggering = level ? u8{1} : u8{0}, .polarity = low ? u8{1} : u8{0}};
    if (const long r = kit::call_physdev(PHYSDEVOP_setup_gsi, &mode); r < 0 && r != -static_cast<long>(XEN_EEXIST))
        return fail(static_cast<Errno>(-r));
    const auto irq = space.for_gsi(gsi);
    if (!irq) return fail(XEN_ENOSPC);
    if (const auto r = bind(*irq, pirq, level, handler, argument); !r) {
        space.release(*irq);
        return fail(r.error());
    }
    return *irq;
}

Result<u32> connect_intx(const pci::Device& d, Handler handler, void* argument) {
    if (d.pin == 0) return fail(XEN_ENODEV);
    return connect_gsi(pci::gsi_of(d), true, true, handler, argument);
}

namespace {
// A pirq of the hypervisor's choice for a message of the device.
physdev_map_pirq_t message_request(const pci::Device& d) {
    physdev_map_pirq_t request{};
    request.type = MAP_PIRQ_TYPE_MSI_SEG;
    request.index = request.pirq = -1;
    request.bus = d.bus;
    request.devfn = d.devfn;
    return request;
}
}  // namespace

Result<u32> connect_msix(const pci::Device& d, u32 entry, Handler handler, void* argument) {
    constexpr u8 msix = 0x11;
    const u8 at = pci::find_capability(d, msix);
    if (at == 0) return fail(XEN_ENODEV);
    physdev_map_pirq_t request = message_request(d);
    request.entry_nr = static_cast<int>(entry);
    request.table_base = pci::bar(d, pci::read(d, static_cast<u8>(at + 4)) & 7);
    constexpr u16 on = 0x8000, all_masked = 0x4000;
    const auto control = static_cast<u8>(at + 2);
    pci::write16(d, control, static_cast<u16>(pci::read16(d, control) | on | all_masked));
    const u32 irq = TRY(connect_message(request, handler, argument));
    pci::write16(d, control, static_cast<u16>((pci::read16(d, control) | on) & ~all_masked));
    return irq;
}

Result<u32> connect_msi(const pci::Device& d, Handler handler, void* argument) {
    constexpr u8 msi = 0x05;
    const u8 at = pci::find_capability(d, msi);
    if (at == 0) return fail(XEN_ENODEV);
    physdev_map_pirq_t request = message_request(d);
    const u32 irq = TRY(connect_message(request, handler, argument));
    const auto control = static_cast<u8>(at + 2);
    pci::write16(d, control, static_cast<u16>(pci::read16(d, control) | 1));
    return irq;
}

Result<> disconnect(u32 irq) {
    const Space::Source source = space.source(irq);
    if (source.kind == Space::Kind::none) return fail(XEN_ENOENT);
    events::close(lines[irq].port);
    space.release(irq);
    physdev_unmap_pirq_t request{.domid = DOMID_SELF, .pirq = static_cast<int>(lines[irq].pirq)};
    return answer(kit::call_physdev(PHYSDEVOP_unmap_pirq, &request));
}

}  // namespace xylem::interrupts
