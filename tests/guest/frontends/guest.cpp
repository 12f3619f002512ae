// SPDX-License-Identifier: MIT
// A domU among Debian's backends: the store, a disk, a network. It asks, answers, and is done.
#include "guest/kit/memory.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/blkfront.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/netfront.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

constexpr Nanos second = 1'000'000'000;

void store_client() {
    story::succeeds("store/connect", xenbus::start());
    const auto domid = xenbus::read_number("domid");
    story::is("store/domid", domid && *domid != 0);
    const auto name = xenbus::read("name");
    story::show_text("store/name", name ? name->view() : "?");
    const auto nothing = xenbus::read("nothing");
    story::is("store/reads nothing where nothing is", !nothing && nothing.error() == XEN_ENOENT);
    story::succeeds("store/write", xenbus::write("data/kit", "here"));
    const auto back = xenbus::read("data/kit");
    story::is("store/reads back", back && back->view() == "here");
    story::answers("store/write to another's place", xenbus::write("/local/domain/0/kit", "x"), XEN_EACCES);
    story::succeeds("store/watch", xenbus::watch("data/kit", "token"));
    const auto first = xenbus::next_event(time::now() + 10 * second);
    story::show_text("store/a new watch fires", first ? first->view() : "no");
    story::succeeds("store/change", xenbus::write("data/kit", "there"));
    const auto change = xenbus::next_event(time::now() + 10 * second);
    story::is("store/and again", change.has_value());
    story::succeeds("store/remove", xenbus::remove("data/kit"));
}

void disk() {
    const auto connected = blkfront::Disk::connect();
    if (!connected) {
        story::equal("disk/connect", -static_cast<i64>(connected.error()), 0);
        return;
    }
    blkfront::Disk& d = **connected;
    story::equal("disk/sectors", static_cast<i64>(d.sectors()), 2048);
    auto* page = static_cast<char*>(allocate_pages());
    for (const u64 sector : {u64{0}, u64{7}, u64{2047}}) {
        text::FixedText<40> name;
        text::format(name, "disk/sector {}", sector);
        const auto r = d.read(sector, 1, page);
        story::show_text(name.view(), r ? std::string_view(page, 15) : "error");
    }
    std::memset(page, 'k', 1024);
    story::succeeds("disk/write two sectors", d.write(100, 2, page));
    std::memset(page, 0, page_size);
    story::succeeds("disk/read them back", d.read(100, 2, page + 1024));
    story::is("disk/they are there", page[1024] == 'k' && page[2047] == 'k' && page[2048] == 0);
    story::answers("disk/beyond its end", d.read(2048, 1, page), XEN_EIO);
    story::answers("disk/across a page", d.read(0, 2, page + page_size - 512), XEN_EINVAL);
    story::succeeds("disk/close", d.close());
}

void network() {
    const auto connected = netfront::Card::connect();
    if (!connected) {
        story::equal("net/connect", -static_cast<i64>(connected.error()), 0);
        return;
    }
    netfront::Card& card = **connected;
    const ether::Host me{card.mac(), {10, 9, 0, 2}};
    ether::Host host{{}, {10, 9, 0, 1}};
    static u8 frame[2048], answer[2048];
    bool arp = false, pong = false;
    unsigned pings = 0, rounds = 0;
    print("net: up");
    for (const Nanos end = time::now() + 90 * second; time::now() < end && (!arp || !pong || pings < 3);) {
        if (!arp) (void)card.send({frame, ether::make_arp_request(frame, me, host.ip)});
        if (arp && !pong) (void)card.send({frame, ether::make_ping(frame, me, host, 9, static_cast<u16>(++rounds))});
        const Nanos until = time::now() + second;
        while (const usize n = card.receive(frame, until)) {
            const ether::Kind kind = ether::classify({frame, n}, me);
            if (kind == ether::Kind::arp_reply_to_us) {
                arp = true;
                std::memcpy(host.mac.data(), frame + 22, 6);
            }
            if (kind == ether::Kind::pong_to_us) pong = true;
            if (kind == ether::Kind::ping_for_us) ++pings;
            if (const usize m = ether::make_answer({frame, n}, me, answer); m != 0) (void)card.send({answer, m});
            if (kind != ether::Kind::other) break;
        }
    }
    story::is("net/arp reply", arp);
    story::is("net/pong", pong);
    story::is("net/three pings answered", pings >= 3);
    time::sleep(second);  // the last answer is on its way
    story::succeeds("net/close", card.close());
}

}  // namespace

void kit::guest_main() {
    events::start();
    time::start();
    unmask_events();
    if (is_dom0()) story::skip("needs another domain's backends");
    if (!grants::start(2)) story::error("no grant table");
    store_client();
    disk();
    network();
    mask_events();
    story::end();
}
