// SPDX-License-Identifier: MIT
#include "guest/lib/netfront.hpp"

#include <algorithm>

#include "guest/kit/memory.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

namespace xylem::netfront {

void Card::post(u16 id) {
    netif_rx_request_t request{};
    request.id = id;
    request.gref = rx_pages_[id].ref;
    rx_->put(request);
}

Result<> Card::read_mac() {
    const xenbus::Text t = TRY(xenbus::read(xenbus::path("{}/mac", place_.own.view()).view()));
    std::string_view rest = t.view();
    for (u8& byte : mac_) {
        xenbus::Text part;
        part.write("0x");
        part.write(text::take_part(rest, ':'));
        const auto n = text::parse_number(part.view());
        if (!n || *n > 255) return fail(XEN_EINVAL);
        byte = static_cast<u8>(*n);
    }
    return {};
}

Result<Card*> Card::connect() {
    static Card only;
    Card& c = only;
    c.place_ = TRY(frontend::find("vif"));
    TRY(c.read_mac());
    const frontend::SharedPage tx = TRY(frontend::share_page(c.place_)), rx = TRY(frontend::share_page(c.place_));
    c.tx_.emplace(tx.memory);
    c.rx_.emplace(rx.memory);
    c.tx_page_ = TRY(frontend::share_page(c.place_, grants::Access::read_only));
    for (u16 i = 0; i < receive_pages; ++i) {
        c.rx_pages_[i] = TRY(frontend::share_page(c.place_));
        c.post(i);
    }
    c.rx_->publish();
    c.port_ = TRY(frontend::offer_channel(c.place_));
    TRY(frontend::publish(c.place_, "tx-ring-ref", tx.ref));
    TRY(frontend::publish(c.place_, "rx-ring-ref", rx.ref));
    TRY(frontend::publish(c.place_, "request-rx-copy", 1));
    TRY(frontend::publish(c.place_, "feature-rx-notify", 1));
    TRY(frontend::publish(c.place_, "feature-no-csum-offload", 1));
    TRY(frontend::set_state(c.place_, XenbusStateConnected));
    TRY(frontend::wait_for_backend(c.place_));
    events::notify(c.port_);
    return &c;
}

Result<> Card::send(std::span<const u8> frame) {
    if (frame.size() > ether::max_frame) return fail(XEN_E2BIG);
    std::memcpy(tx_page_.memory, frame.data(), frame.size());
    netif_tx_request_t request{};
    request.gref = tx_page_.ref;
    request.size = static_cast<u16>(frame.size());
    if (!tx_->put(request)) return fail(XEN_EIO);
    if (tx_->publish()) events::notify(port_);
    std::optional<netif_tx_response_t> response;
    for (const Nanos end = time::now() + frontend::patience; !(response = tx_->take());) {
        if (tx_->is_broken() || time::now() > end) return fail(XEN_EIO);
        if (!tx_->rearm()) time::sleep(1'000'000);
    }
    return response->status == NETIF_RSP_OKAY ? Result<>{} : fail(XEN_EIO);
}

usize Card::receive(std::span<u8> to, Nanos until) {
    while (true) {
        const auto r = rx_->take();
        if (!r) {
            if (rx_->is_broken() || time::now() > until) return 0;
            if (!rx_->rearm()) time::sleep(1'000'000);
            continue;
        }
        if (r->id >= receive_pages) return 0;
        const bool fits = r->status > 0 && range_fits(r->offset, static_cast<u64>(r->status), page_size);
        const usize n = fits ? std::min(static_cast<usize>(r->status), to.size()) : 0;
        std::memcpy(to.data(), static_cast<const u8*>(rx_pages_[r->id].memory) + (fits ? r->offset : 0), n);
        post(r->id);
        if (rx_->publish()) events::notify(port_);
        if (n != 0) return n;
    }
}

Result<> Card::close() {
    TRY(frontend::close(place_));
    events::close(port_);
    return {};
}

}  // namespace xylem::netfront
