// SPDX-License-Identifier: MIT
// Debug key 'e'.
#include "core/evtchn/table.hpp"

namespace xylem::evtchn {
namespace {

const char* name_of(State state) {
    switch (state) {
        case State::free: return "free";
        case State::reserved: return "reserved";
        case State::unbound: return "unbound";
        case State::interdomain: return "interdomain";
        case State::pirq: return "pirq";
        case State::virq: return "virq";
        case State::ipi: return "ipi";
    }
    return "?";
}

}  // namespace

// One line per port in use; nothing is written with a lock held.
void Table::dump(text::Sink& out) {
    text::format(out, "d{}: {} event channels, {} ABI, at most {}\n", owner_.id, ports_in_use(), uses_fifo() ? "FIFO" : "2-level",
                 max_channels_);
    for_each_channel([&](Channel& channel) {
        const u32 port = channel.port;
        text::FixedText<160> line;
        {
            IrqGuard guard(channel.lock);
            const State state = channel.now();
            if (state == State::free || state == State::reserved) return;
            Fifo* f = fifo();
            const bool masked = f != nullptr ? f->is_masked(channel) : test(owner_.shared->evtchn_mask[port / 64], port % 64);
            text::format(line, "  {} [{}{}] v{} {}", port, channel_pending(channel) ? "p" : "-", masked ? "m" : "-",
                         u32{channel.notify_vcpu.load(std::memory_order_relaxed)}, name_of(state));
            if (f != nullptr)
                text::format(line, " priority {}{}", u32{channel.priority.load(std::memory_order_relaxed)},
                             f->is_linked(port) ? " linked" : "");
            if (state == State::unbound) text::format(line, " for d{}", channel.remote);
            if (state == State::interdomain)
                text::format(line, " d{} port {}", channel.peer.table->owner().id, channel.peer.channel->port);
            if (state == State::pirq) text::format(line, " {}", channel.pirq);
            if (state == State::virq) text::format(line, " {}", channel.virq);
        }
        line.write("\n");
        out.write(line.view());
    });
}

}  // namespace xylem::evtchn
