// SPDX-License-Identifier: MIT
// An example to copy: an appliance on the network of its domU. It takes the address ip=A.B.C.D of its command line, answers ARP
// and ping, and ends when its store entry data/stop appears (`xenstore-write /local/domain/ID/data/stop 1` in dom0).
#include "guest/kit/console.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/netfront.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;

namespace {

bool parse_ip(std::string_view text, ether::Ip& out) {
    for (u8& part : out) {
        const auto n = text::parse_number(text::take_part(text, '.'));
        if (!n || *n > 255) return false;
        part = static_cast<u8>(*n);
    }
    return true;
}

void serve(netfront::Card& card, const ether::Ip& ip) {
    const ether::Host me{card.mac(), ip};
    kit::print("net: up");
    static u8 frame[2048], answer[2048];
    u64 answered = 0;
    while (!xenbus::read("data/stop")) {
        const usize n = card.receive(frame, time::now() + 1'000'000'000);
        if (n == 0) continue;
        if (const usize m = ether::make_answer({frame, n}, me, answer); m != 0 && card.send({answer, m})) ++answered;
    }
    kit::print("echo: answered {} frames", answered);
}

}  // namespace

void kit::guest_main() {
    events::start();
    time::start();
    unmask_events();
    ether::Ip ip;
    if (!parse_ip(option("ip"), ip)) {
        print("echo: ip=A.B.C.D is missing on the command line");
        return;
    }
    if (const auto r = xenbus::start(); !r) {
        print("echo: no store (error {}); this example is a domU", r.error());
        return;
    }
    if (const auto r = grants::start(); !r) {
        print("echo: no grant table (error {})", r.error());
        return;
    }
    const auto card = netfront::Card::connect();
    if (!card) {
        print("echo: no network (error {})", card.error());
        return;
    }
    serve(**card, ip);
    (void)(*card)->close();
}
