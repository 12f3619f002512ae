// SPDX-License-Identifier: MIT
#include "core/recorder/describe.hpp"

#include "abi/xen.hpp"

namespace xylem::recorder {
namespace {

void put_time(text::Sink& out, const Event& e, const Clock& clock) {
    if (!e.has_time()) return out.write("                 ");
    const u64 ticks = clock.now - e.value;
    // The CPUs' clocks differ a little, and a broken ring holds anything.
    if (static_cast<i64>(ticks) < 0) return out.write("             now ");
    if (clock.khz == 0 || ticks > ~u64{0} / 10'000) return text::format(out, "{:>16} ", ticks);
    const u64 tenths = ticks * 10'000 / clock.khz;
    text::format(out, "{:>11}.{} us ", tenths / 10, tenths % 10);
}

}  // namespace

void describe(text::Sink& out, const Event& e, const Names& names, const Clock& clock) {
    put_time(out, e, clock);
    switch (e.kind()) {
        case Kind::hypercall:
        case Kind::multicall:
            text::format(out, "{} {} {} ({:#x})", e.kind() == Kind::hypercall ? "hypercall" : "  in multicall:", e.low(),
                         names.hypercall(e.low()), e.value);
            return;
        case Kind::trap:
            text::format(out, "trap {} {} at {:x} ({:#x})", e.detail(), names.vector(e.detail()), e.address(), e.value);
            return;
        case Kind::interrupt:
            text::format(out, "interrupt {:#x} {} at {:x}", e.detail(), names.vector(e.detail()), e.address());
            return;
        case Kind::run:
            if (e.low() >> 16 == domid_idle.raw)
                out.write("idle");
            else
                text::format(out, "run d{}v{}", e.low() >> 16, e.low() & 0xffff);
            return;
        case Kind::stop: return out.write("Xylem stops");
    }
    text::format(out, "unreadable: {:016x} {:016x}", e.what, e.value);
}

}  // namespace xylem::recorder
