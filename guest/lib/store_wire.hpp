// SPDX-License-Identifier: MIT
// The store's protocol [xen/io/xs_wire.h]: messages of a header and text, in a ring of bytes for each direction.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string_view>

#include "abi/io.hpp"

namespace xylem::store {

inline constexpr u32 payload_max = XENSTORE_PAYLOAD_MAX;

struct Message {
    xsd_sockmsg head{};
    char text[payload_max];
    std::string_view payload() const { return {text, head.len}; }
};

// One direction. The indices belong to both sides; a distance larger than the ring is nonsense and reads as broken.
class ByteRing {
   public:
    ByteRing(char* bytes, XENSTORE_RING_IDX& consumer, XENSTORE_RING_IDX& producer)
        : bytes_(bytes), cons_(consumer), prod_(producer) {}

    bool is_broken() const { return load(prod_) - load(cons_) > XENSTORE_RING_SIZE; }
    u32 filled() const {
        const u32 n = load(prod_) - load(cons_);
        return n > XENSTORE_RING_SIZE ? 0 : n;
    }
    u32 room() const { return is_broken() ? 0 : XENSTORE_RING_SIZE - filled(); }

    u32 write(const void* from, u32 n) {
        n = std::min(n, room());
        const u32 at = load(prod_);
        for (u32 i = 0; i < n; ++i) bytes_[(at + i) % XENSTORE_RING_SIZE] = static_cast<const char*>(from)[i];
        std::atomic_ref(prod_).store(at + n, std::memory_order_release);
        return n;
    }
    u32 read(void* to, u32 n) {
        n = std::min(n, filled());
        const u32 at = load(cons_);
        for (u32 i = 0; i < n; ++i) static_cast<char*>(to)[i] = bytes_[(at + i) % XENSTORE_RING_SIZE];
        std::atomic_ref(cons_).store(at + n, std::memory_order_release);
        return n;
    }

   private:
    static u32 load(XENSTORE_RING_IDX& i) { return std::atomic_ref(i).load(std::memory_order_acquire); }

    char* bytes_;
    XENSTORE_RING_IDX& cons_;
    XENSTORE_RING_IDX& prod_;
};

inline ByteRing requests_of(xenstore_domain_interface& page) {
    return {page.req, page.req_cons, page.req_prod};
}
inline ByteRing responses_of(xenstore_domain_interface& page) {
    return {page.rsp, page.rsp_cons, page.rsp_prod};
}

// Puts messages together out of a ring, however small the pieces come.
class Reader {
   public:
    enum class State : u8 { more, complete, broken };

    State pull(ByteRing& ring) {
        if (ring.is_broken()) return State::broken;
        if (have_ < sizeof message_.head)
            have_ += ring.read(reinterpret_cast<char*>(&message_.head) + have_, static_cast<u32>(sizeof message_.head) - have_);
        if (have_ < sizeof message_.head) return State::more;
        if (message_.head.len > payload_max) return State::broken;
        const u32 whole = static_cast<u32>(sizeof message_.head) + message_.head.len;
        const u32 in_text = have_ - static_cast<u32>(sizeof message_.head);
        have_ += ring.read(message_.text + in_text, whole - have_);
        if (have_ < whole) return State::more;
        have_ = 0;
        return State::complete;
    }
    const Message& message() const { return message_; }

   private:
    Message message_;
    u32 have_ = 0;
};

// The first zero-ended string of a payload, cut off its front.
inline std::string_view take_string(std::string_view& payload) {
    const usize end = std::min(payload.find('\0'), payload.size());
    const std::string_view s = payload.substr(0, end);
    payload.remove_prefix(std::min(end + 1, payload.size()));
    return s;
}

}  // namespace xylem::store
