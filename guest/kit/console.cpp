// SPDX-License-Identifier: MIT
#include "guest/kit/console.hpp"

#include <algorithm>
#include <atomic>

#include "abi/io.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/memory.hpp"

namespace xylem::kit {
namespace {

bool to_hypervisor = true;
Mfn ring_frame;
u32 ring_port;
xencons_interface* ring;

void notify() {
    evtchn_send_t request{.port = ring_port};
    event_channel_op(EVTCHNOP_send, &request);
}

// The reader's index comes from outside: more than a ring's worth behind means that nobody reads.
usize room() {
    const u32 used = ring->out_prod - *const_cast<volatile XENCONS_RING_IDX*>(&ring->out_cons);
    return used > sizeof ring->out ? 0 : sizeof ring->out - used;
}

void write_to_ring(std::string_view text) {
    while (!text.empty()) {
        for (unsigned patience = 0; room() == 0; ++patience) {
            if (patience == 1000000) return;  // the daemon is gone; the guest is not to hang for its words
            notify();
            yield();
        }
        const usize n = std::min(room(), text.size());
        for (usize i = 0; i < n; ++i) ring->out[MASK_XENCONS_IDX(ring->out_prod + i, ring->out)] = text[i];
        std::atomic_thread_fence(std::memory_order_release);
        ring->out_prod += static_cast<u32>(n);
        text.remove_prefix(n);
        notify();
    }
}

}  // namespace

void start_console(const start_info_t& info) {
    if ((info.flags & SIF_INITDOMAIN) != 0 || info.console.domU.mfn == 0) return;
    ring_frame = Mfn(info.console.domU.mfn);
    ring_port = info.console.domU.evtchn;
}

void finish_console() {
    if (ring_port == 0) return;
    void* const page = address_of(pfn_of(ring_frame));
    use_console_ring(page, ring_port);
}

void use_console_ring(void* page, u32 port) {
    ring = static_cast<xencons_interface*>(page);
    ring_port = port;
    to_hypervisor = false;
}

void write(std::string_view text) {
    const EventsMasked guard;
    if (to_hypervisor || ring == nullptr) {
        console_io(CONSOLEIO_write, text.size(), text.data());
    } else {
        write_to_ring(text);
    }
}

void flush_console() {
    if (ring == nullptr) return;
    for (unsigned patience = 0; room() != sizeof ring->out && patience < 1000000; ++patience) yield();
}

}  // namespace xylem::kit
