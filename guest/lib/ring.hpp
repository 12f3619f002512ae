// SPDX-License-Identifier: MIT
// The frontend's end of a ring of requests and responses [xen/io/ring.h]. The page is shared with somebody who may lie: indices
// are checked, a response is copied once and only the copy is looked at.
#pragma once

#include <atomic>
#include <cstring>
#include <optional>

#include "base/types.hpp"

namespace xylem {

// The header that every ring's page begins with.
struct RingHeader {
    u32 req_prod, req_event, rsp_prod, rsp_event;
    u8 padding[48];
};
static_assert(sizeof(RingHeader) == 64);

template <class Request, class Response>
class FrontRing {
    static constexpr u32 rounded_down(u32 n) {
        u32 p = 1;
        while (p * 2 <= n) p *= 2;
        return p;
    }

   public:
    static constexpr usize slot_bytes = sizeof(Request) > sizeof(Response) ? sizeof(Request) : sizeof(Response);
    static constexpr u32 slots = rounded_down(static_cast<u32>((page_size - sizeof(RingHeader)) / slot_bytes));

    explicit FrontRing(void* page) : page_(static_cast<u8*>(page)) {
        std::memset(page_, 0, page_size);
        header().req_event = 1;
        header().rsp_event = 1;
    }

    bool is_full() const { return produced_ - consumed_ == slots; }
    u32 in_flight() const { return produced_ - consumed_; }
    // The other side broke the rules; nothing more is taken from it.
    bool is_broken() const { return broken_; }

    bool put(const Request& request) {
        if (is_full() || broken_) return false;
        std::memcpy(slot(produced_), &request, sizeof request);
        ++produced_;
        return true;
    }
    // Shows the other side what was put. True: it asked to be notified.
    bool publish() {
        const u32 before = published_;
        published_ = produced_;
        atomic(header().req_prod).store(produced_, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const u32 wanted = atomic(header().req_event).load(std::memory_order_relaxed);
        return produced_ - wanted < produced_ - before;
    }

    // The next response, none when there is none (or the index makes no sense).
    std::optional<Response> take() {
        if (broken_) return std::nullopt;
        const u32 available = atomic(header().rsp_prod).load(std::memory_order_acquire);
        if (available == consumed_) return std::nullopt;
        if (available - consumed_ > published_ - consumed_) {
            broken_ = true;
            return std::nullopt;
        }
        Response copy;
        std::memcpy(&copy, slot(consumed_), sizeof copy);
        ++consumed_;
        return copy;
    }
    // Asks for a notification with the next response. True: one came meanwhile.
    bool rearm() {
        atomic(header().rsp_event).store(consumed_ + 1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return atomic(header().rsp_prod).load(std::memory_order_acquire) != consumed_;
    }

   private:
    RingHeader& header() { return *reinterpret_cast<RingHeader*>(page_); }
    u8* slot(u32 index) { return page_ + sizeof(RingHeader) + (index & (slots - 1)) * slot_bytes; }
    static std::atomic_ref<u32> atomic(u32& word) { return std::atomic_ref<u32>(word); }

    u8* page_;
    u32 produced_ = 0, published_ = 0, consumed_ = 0;
    bool broken_ = false;
};

}  // namespace xylem
