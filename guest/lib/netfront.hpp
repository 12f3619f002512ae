// SPDX-License-Identifier: MIT
// A network of another domain [xen/io/netif.h]: copying receive ring, one frame at a time out.
#pragma once

#include <span>

#include "abi/io.hpp"
#include "guest/lib/ether.hpp"
#include "guest/lib/frontend.hpp"
#include "guest/lib/ring.hpp"

namespace xylem::netfront {

class Card {
   public:
    static Result<Card*> connect();

    ether::Mac mac() const { return mac_; }
    Result<> send(std::span<const u8> frame);
    // The next frame that came, copied; 0 bytes when none did until the moment, or the backend lies.
    usize receive(std::span<u8> to, Nanos until);
    Result<> close();

   private:
    static constexpr u32 receive_pages = 16;
    using TxRing = FrontRing<netif_tx_request_t, netif_tx_response_t>;
    using RxRing = FrontRing<netif_rx_request_t, netif_rx_response_t>;
    Result<> read_mac();
    void post(u16 id);

    frontend::Place place_;
    std::optional<TxRing> tx_;
    std::optional<RxRing> rx_;
    frontend::SharedPage tx_page_{}, rx_pages_[receive_pages]{};
    u32 port_ = 0;
    ether::Mac mac_{};
};

}  // namespace xylem::netfront
