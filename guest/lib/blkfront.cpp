// SPDX-License-Identifier: MIT
#include "guest/lib/blkfront.hpp"

#include "guest/kit/memory.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

namespace xylem::blkfront {

Result<Disk*> Disk::connect(unsigned number) {
    static Disk disks[2];
    if (number >= std::size(disks)) return fail(XEN_ENODEV);
    Disk& d = disks[number];
    d.place_ = TRY(frontend::find("vbd", number));
    const frontend::SharedPage page = TRY(frontend::share_page(d.place_));
    d.ring_.emplace(page.memory);
    d.port_ = TRY(frontend::offer_channel(d.place_));
    TRY(frontend::publish(d.place_, "ring-ref", page.ref));
    TRY(xenbus::write(xenbus::path("{}/protocol", d.place_.own.view()).view(), XEN_IO_PROTO_ABI_NATIVE));
    TRY(frontend::set_state(d.place_, XenbusStateInitialised));
    TRY(frontend::wait_for_backend(d.place_));
    d.sectors_ = TRY(xenbus::read_number(xenbus::path("{}/sectors", d.place_.other.view()).view()));
    d.info_ = TRY(xenbus::read_number(xenbus::path("{}/info", d.place_.other.view()).view()));
    TRY(frontend::set_state(d.place_, XenbusStateConnected));
    return &d;
}

Result<> Disk::transfer(u8 operation, u64 first, u32 count, void* memory) {
    const auto offset = static_cast<u32>(reinterpret_cast<u64>(memory) & page_mask);
    if (count == 0 || count > 8 || offset % 512 != 0 || offset / 512 + count > 8) return fail(XEN_EINVAL);
    const bool reads = operation == BLKIF_OP_READ;
    const grants::Ref ref =
        TRY(grants::lend(place_.backend, kit::frame_at(memory), reads ? grants::Access::read_write : grants::Access::read_only));
    blkif_request_t request{};
    request.operation = operation;
    request.nr_segments = 1;
    request.handle = static_cast<blkif_vdev_t>(place_.id);
    request.id = next_id_++;
    request.sector_number = first;
    request.seg[0].gref = ref;
    request.seg[0].first_sect = static_cast<u8>(offset / 512);
    request.seg[0].last_sect = static_cast<u8>(offset / 512 + count - 1);
    if (!ring_->put(request)) return fail(XEN_EIO);
    if (ring_->publish()) events::notify(port_);
    std::optional<blkif_response_t> response;
    for (const Nanos end = time::now() + frontend::patience; !(response = ring_->take());) {
        if (ring_->is_broken() || time::now() > end) return fail(XEN_EIO);  // the page stays lent: it may still be written to
        if (!ring_->rearm()) time::sleep(1'000'000);
    }
    if (!grants::end(ref)) return fail(XEN_EBUSY);
    return response->id == request.id && response->status == BLKIF_RSP_OKAY ? Result<>{} : fail(XEN_EIO);
}

Result<> Disk::close() {
    TRY(frontend::close(place_));
    events::close(port_);
    return {};
}

}  // namespace xylem::blkfront
