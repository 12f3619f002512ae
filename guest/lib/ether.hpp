// SPDX-License-Identifier: MIT
// As much of networks as answers ARP and ping: Ethernet, ARP [RFC 826], IPv4 and ICMP echo [RFC 791, 792].
#pragma once

#include <array>
#include <cstring>
#include <span>

#include "base/types.hpp"

namespace xylem::ether {

using Mac = std::array<u8, 6>;
using Ip = std::array<u8, 4>;
inline constexpr usize header_bytes = 14, arp_bytes = header_bytes + 28, max_frame = 1514;

constexpr u16 big(std::span<const u8> p, usize at) {
    return static_cast<u16>(p[at] << 8 | p[at + 1]);
}
constexpr void put_big(std::span<u8> p, usize at, u16 v) {
    p[at] = static_cast<u8>(v >> 8);
    p[at + 1] = static_cast<u8>(v);
}
inline void put(std::span<u8> p, usize at, std::span<const u8> what) {
    std::memcpy(p.data() + at, what.data(), what.size());
}

// The Internet's sum of 16-bit words.
constexpr u16 checksum(std::span<const u8> p) {
    u32 sum = 0;
    for (usize i = 0; i + 1 < p.size(); i += 2) sum += big(p, i);
    if (p.size() % 2 != 0) sum += u32{p[p.size() - 1]} << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(~sum);
}

struct Host {
    Mac mac;
    Ip ip;
};

inline usize make_arp(std::span<u8> f, const Host& me, const Mac& to, const Ip& whom, const Mac& target, u16 operation) {
    put(f, 0, to);
    put(f, 6, me.mac);
    put_big(f, 12, 0x0806);
    put_big(f, 14, 1);
    put_big(f, 16, 0x0800);
    f[18] = 6;
    f[19] = 4;
    put_big(f, 20, operation);
    put(f, 22, me.mac);
    put(f, 28, me.ip);
    put(f, 32, target);
    put(f, 38, whom);
    return arp_bytes;
}
inline usize make_arp_request(std::span<u8> f, const Host& me, const Ip& whom) {
    constexpr Mac everybody{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return make_arp(f, me, everybody, whom, Mac{}, 1);
}

inline usize make_ping(std::span<u8> f, const Host& me, const Host& to, u16 id, u16 sequence) {
    constexpr usize ip = header_bytes, icmp = ip + 20, payload = 32;
    std::memset(f.data(), 0, icmp + 8 + payload);
    put(f, 0, to.mac);
    put(f, 6, me.mac);
    put_big(f, 12, 0x0800);
    f[ip] = 0x45;
    put_big(f, ip + 2, 20 + 8 + payload);
    f[ip + 8] = 64;
    f[ip + 9] = 1;
    put(f, ip + 12, me.ip);
    put(f, ip + 16, to.ip);
    put_big(f, ip + 10, checksum(f.subspan(ip, 20)));
    f[icmp] = 8;
    put_big(f, icmp + 4, id);
    put_big(f, icmp + 6, sequence);
    for (usize i = 0; i < payload; ++i) f[icmp + 8 + i] = static_cast<u8>(i);
    put_big(f, icmp + 2, checksum(f.subspan(icmp, 8 + payload)));
    return icmp + 8 + payload;
}

enum class Kind : u8 { other, arp_request_for_us, arp_reply_to_us, ping_for_us, pong_to_us };

// What a frame from outside is. Lengths in it are checked against the frame's own.
inline Kind classify(std::span<const u8> f, const Host& me) {
    if (f.size() < arp_bytes) return Kind::other;
    if (big(f, 12) == 0x0806 && big(f, 16) == 0x0800 && std::memcmp(f.data() + 38, me.ip.data(), 4) == 0) {
        const u16 operation = big(f, 20);
        return operation == 1 ? Kind::arp_request_for_us : operation == 2 ? Kind::arp_reply_to_us : Kind::other;
    }
    if (big(f, 12) != 0x0800 || f[14] != 0x45 || f[23] != 1 || std::memcmp(f.data() + 30, me.ip.data(), 4) != 0)
        return Kind::other;
    const usize total = big(f, 16);
    if (total < 28 || header_bytes + total > f.size() || checksum(f.subspan(34, total - 20)) != 0) return Kind::other;
    return f[34] == 8 ? Kind::ping_for_us : f[34] == 0 ? Kind::pong_to_us : Kind::other;
}

// The answer to a frame for us, built in `out`, 0 bytes when none is due.
inline usize make_answer(std::span<const u8> f, const Host& me, std::span<u8> out) {
    const Kind kind = classify(f, me);
    if (kind == Kind::arp_request_for_us) {
        Mac mac;
        Ip ip;
        std::memcpy(mac.data(), f.data() + 22, 6);
        std::memcpy(ip.data(), f.data() + 28, 4);
        return make_arp(out, me, mac, ip, mac, 2);
    }
    if (kind != Kind::ping_for_us) return 0;
    const usize n = header_bytes + big(f, 16);
    if (n > out.size()) return 0;
    std::memcpy(out.data(), f.data(), n);
    std::memcpy(out.data(), f.data() + 6, 6);
    put(out, 6, me.mac);
    std::memcpy(out.data() + 26, f.data() + 30, 4);
    std::memcpy(out.data() + 30, f.data() + 26, 4);
    out[34] = 0;
    put_big(out, 36, 0);
    put_big(out, 36, checksum(out.subspan(34, n - 34)));
    return n;
}

}  // namespace xylem::ether
