// SPDX-License-Identifier: MIT
#include "guest/lib/store_service.hpp"

#include "guest/lib/events.hpp"

namespace xylem::store {
namespace {

struct Client {
    DomId domain;
    xenstore_domain_interface* page = nullptr;
    u32 port = 0;
    Reader reader;
};
Client clients[max_clients];
Server the_server;
Message reply;
Server::Event event;
u32 closed;

// A domain that does not read its answers loses them: nobody waits for it.
void send(Client& c, const Message& m) {
    ByteRing out = responses_of(*c.page);
    const u32 whole = static_cast<u32>(sizeof m.head) + m.head.len;
    if (out.room() < whole) return;
    out.write(&m.head, sizeof m.head);
    out.write(m.text, m.head.len);
    events::notify(c.port);
}

void send_events() {
    while (the_server.next_event(event))
        for (Client& c : clients)
            if (c.page != nullptr && c.domain == event.to) send(c, event.message);
}

void work(u32, void* argument) {
    auto& c = *static_cast<Client*>(argument);
    ByteRing in = requests_of(*c.page);
    while (true) {
        const Reader::State state = c.reader.pull(in);
        if (state == Reader::State::more) return;
        if (state == Reader::State::broken) {
            ++closed;
            c.page = nullptr;
            events::close(c.port);
            the_server.forget_domain(c.domain);
            return;
        }
        the_server.answer(c.domain, c.reader.message(), reply);
        send(c, reply);
        send_events();
    }
}

}  // namespace

Server& server() {
    return the_server;
}
u32 closed_rings() {
    return closed;
}

Result<> serve(DomId domain, xenstore_domain_interface* page, DomId channel_domain, u32 remote_port) {
    for (Client& c : clients) {
        if (c.page != nullptr) continue;
        c.domain = domain;
        c.page = page;
        c.reader = Reader();
        c.port = TRY(events::bind_interdomain(channel_domain, remote_port, work, &c));
        return {};
    }
    return fail(Errno::XEN_ENOSPC);
}

}  // namespace xylem::store
