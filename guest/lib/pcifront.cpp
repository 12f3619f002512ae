// SPDX-License-Identifier: MIT
#include "guest/lib/pcifront.hpp"

#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

namespace xylem::pcifront {

Result<Bus*> Bus::connect() {
    static Bus only;
    Bus& b = only;
    b.place_ = TRY(frontend::find("pci"));
    const frontend::SharedPage page = TRY(frontend::share_page(b.place_));
    b.operation_.emplace(page.memory);
    b.port_ = TRY(frontend::offer_channel(b.place_));
    TRY(frontend::publish(b.place_, "pci-op-ref", page.ref));
    TRY(xenbus::write(xenbus::path("{}/magic", b.place_.own.view()).view(), XEN_PCI_MAGIC));
    TRY(frontend::set_state(b.place_, XenbusStateInitialised));
    TRY(frontend::wait_for_backend(b.place_));
    TRY(frontend::set_state(b.place_, XenbusStateConnected));
    return &b;
}

Result<PciPlace> Bus::device(unsigned number) const {
    const xenbus::Text text = TRY(xenbus::read(xenbus::path("{}/vdev-{}", place_.other.view(), number).view()));
    const auto at = parse_pci_place(text.view());
    if (!at) return fail(XEN_EINVAL);
    return *at;
}

Result<u32> Bus::perform(PciOperation::Kind kind, const PciPlace& at, u32 reg, u32 bytes, u32 value) {
    TRY(operation_->start(kind, at, reg, bytes, value));
    events::notify(port_);
    for (const Nanos end = time::now() + frontend::patience; operation_->is_busy();) {
        if (time::now() > end) return fail(XEN_ETIME);
        time::sleep(1'000'000);
    }
    return operation_->answer(bytes);
}

Result<u32> Bus::read(const PciPlace& at, u32 reg, u32 bytes) {
    return perform(PciOperation::Kind::read, at, reg, bytes);
}
Result<> Bus::write(const PciPlace& at, u32 reg, u32 bytes, u32 value) {
    TRY(perform(PciOperation::Kind::write, at, reg, bytes, value));
    return {};
}
Result<u32> Bus::enable_msi(const PciPlace& at) {
    return perform(PciOperation::Kind::enable_msi, at);
}
Result<> Bus::disable_msi(const PciPlace& at) {
    TRY(perform(PciOperation::Kind::disable_msi, at));
    return {};
}

Result<> Bus::close() {
    TRY(frontend::close(place_));
    events::close(port_);
    return {};
}

}  // namespace xylem::pcifront
