// SPDX-License-Identifier: MIT
// A domU that is lent a PCI device by Debian's pciback: configuration space through the backend, and what it does not let pass.
// The device is QEMU's "edu", which has one memory BAR of 1 MiB and one message.
#include "guest/kit/cpu.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/pcifront.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

constexpr u32 reg_command = 4, reg_class = 8, reg_bar0 = 0x10;

// dom0 lends it while we run.
bool wait_for_device() {
    for (const Nanos end = time::now() + frontend::patience; time::now() < end; time::sleep(50'000'000))
        if (frontend::find("pci")) return true;
    return false;
}

void show(std::string_view name, const Result<u32>& value) {
    if (value) {
        story::show_hex(name, *value);
    } else {
        story::show(name, -static_cast<i64>(value.error()));
    }
}

void configuration(pcifront::Bus& bus, const PciPlace& at) {
    const auto is = [&](std::string_view name, u32 reg, u32 bytes, u32 wanted) {
        const auto value = bus.read(at, reg, bytes);
        story::equal_hex(name, value ? *value : ~u64{0}, wanted);
    };
    is("config/ids", 0, 4, 0x11e81234);
    is("config/vendor", 0, 2, 0x1234);
    is("config/device", 2, 2, 0x11e8);
    is("config/class", reg_class + 2, 2, 0x00ff);
    show("config/command", bus.read(at, reg_command, 2));
    story::succeeds("config/bar sized", bus.write(at, reg_bar0, 4, ~0u));
    is("config/bar's size", reg_bar0, 4, 0xfff00000);
    story::succeeds("config/memory on", bus.write(at, reg_command, 2, 2));
    show("config/command then", bus.read(at, reg_command, 2));
    show("config/a vendor's own register", bus.write(at, 0x60, 4, 1) ? Result<u32>(0u) : fail(XEN_EIO));
    story::answers("config/three bytes", bus.write(at, 0, 3, 0), XEN_EINVAL);
    story::answers("config/beyond the end", bus.write(at, 4096, 4, 0), XEN_EINVAL);
    const auto nobody = bus.read({at.segment, at.bus, at.devfn ^ 0x78}, 0, 4);
    story::is("config/no such device", !nobody && nobody.error() == XEN_ENODEV);
}

// Both hypervisors give a domain messages only of devices that were assigned to it, for which xl wants an IOMMU.
void message(pcifront::Bus& bus, const PciPlace& at) {
    const auto pirq = bus.enable_msi(at);
    story::show("msi/enable", pirq ? 0 : -static_cast<i64>(pirq.error()));
    if (!pirq) return;
    const auto port = events::bind_pirq(*pirq, false, [](u32, void*) {});
    story::show("msi/bind", port ? 0 : -static_cast<i64>(port.error()));
    if (port) story::equal("msi/unbind", events::close(*port), 0);
    story::succeeds("msi/disable", bus.disable_msi(at));
}

}  // namespace

void kit::guest_main() {
    events::start();
    time::start();
    unmask_events();
    if (!xenbus::start()) story::error("no store");
    if (!grants::start()) story::error("no grant table");
    print("pci: up");
    if (!wait_for_device()) story::error("no device was lent");
    const auto bus = pcifront::Bus::connect();
    if (!bus) {
        story::equal("connect", -static_cast<i64>(bus.error()), 0);
        return story::end();
    }
    const auto at = (*bus)->device(0);
    story::is("a device", at.has_value());
    if (at) {
        configuration(**bus, *at);
        message(**bus, *at);
    }
    story::succeeds("close", (*bus)->close());
    mask_events();
    story::end();
}
