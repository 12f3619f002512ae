// SPDX-License-Identifier: MIT
#include "guest/lib/xenbus.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

namespace xylem::xenbus {
namespace {

constexpr Nanos patience = 30'000'000'000;
xenstore_domain_interface* ring;
u32 port;
u32 next_id = 1;
store::Reader reader;
store::Message last;  // the answer to the last request

constexpr usize max_events = 8;
Text pending[max_events];
usize pending_count;

void keep_event(const store::Message& m) {
    if (pending_count == max_events) return;
    std::string_view payload = m.payload();
    pending[pending_count].clear();
    pending[pending_count++].write(store::take_string(payload));
}

// One message more out of the ring, if one is whole.
Result<bool> pull() {
    store::ByteRing in = store::responses_of(*ring);
    switch (reader.pull(in)) {
        case store::Reader::State::broken: return fail(XEN_EIO);
        case store::Reader::State::more: return false;
        case store::Reader::State::complete: events::notify(port); return true;
    }
    return false;
}

void rest(Nanos until) {
    time::sleep_until(std::min(until, time::now() + 5'000'000));
}

Result<> send(const void* from, u32 n) {
    store::ByteRing out = store::requests_of(*ring);
    const Nanos end = time::now() + patience;
    for (u32 done = 0; done < n;) {
        if (out.is_broken()) return fail(XEN_EIO);
        done += out.write(static_cast<const char*>(from) + done, n - done);
        events::notify(port);
        if (done < n) {
            if (time::now() > end) return fail(XEN_ETIME);
            rest(end);
        }
    }
    return {};
}

Errno errno_of(std::string_view name) {
    struct {
        std::string_view name;
        Errno value;
    } constexpr names[] = {{"EINVAL", XEN_EINVAL}, {"EACCES", XEN_EACCES}, {"EEXIST", XEN_EEXIST}, {"ENOENT", XEN_ENOENT},
                           {"ENOSPC", XEN_ENOSPC}, {"EAGAIN", XEN_EAGAIN}, {"EBUSY", XEN_EBUSY}};
    for (const auto& n : names)
        if (n.name == name) return n.value;
    return XEN_EIO;
}

Result<std::string_view> request(u32 type, std::initializer_list<std::string_view> parts) {
    if (ring == nullptr) return fail(XEN_ENODEV);
    xsd_sockmsg head{.type = type, .req_id = next_id++, .tx_id = 0, .len = 0};
    for (const auto p : parts) head.len += static_cast<u32>(p.size());
    TRY(send(&head, sizeof head));
    for (const auto p : parts) TRY(send(p.data(), static_cast<u32>(p.size())));
    for (const Nanos end = time::now() + patience; time::now() < end; rest(end)) {
        while (TRY(pull())) {
            const store::Message& m = reader.message();
            if (m.head.type == XS_WATCH_EVENT) {
                keep_event(m);
                continue;
            }
            if (m.head.req_id != head.req_id) continue;  // an answer that came too late for somebody
            last = m;
            std::string_view payload = last.payload();
            if (last.head.type == XS_ERROR) return fail(errno_of(store::take_string(payload)));
            return payload;
        }
    }
    return fail(XEN_ETIME);
}

constexpr std::string_view zero{"\0", 1};

}  // namespace

Result<> start_with(xenstore_domain_interface* page, u32 with_port, bool bound) {
    ring = page;
    port = with_port;
    if (bound) events::set_handler(port, [](u32, void*) {}, nullptr);
    return {};
}

Result<> start() {
    const start_info_t& info = kit::boot_info();
    if (info.store_mfn == 0 || info.store_evtchn == 0) return fail(XEN_ENODEV);
    return start_with(static_cast<xenstore_domain_interface*>(kit::address_of(kit::pfn_of(Mfn(info.store_mfn)))),
                      info.store_evtchn, true);
}

Result<Text> read(std::string_view at) {
    const std::string_view answer = TRY(request(XS_READ, {at, zero}));
    Text t;
    t.write(answer);
    return t;
}
Result<> write(std::string_view at, std::string_view value) {
    TRY(request(XS_WRITE, {at, zero, value}));
    return {};
}
Result<> remove(std::string_view at) {
    TRY(request(XS_RM, {at, zero}));
    return {};
}
Result<Text> list(std::string_view at) {
    const std::string_view answer = TRY(request(XS_DIRECTORY, {at, zero}));
    Text t;
    t.write(answer);
    return t;
}
Result<> watch(std::string_view at, std::string_view token) {
    TRY(request(XS_WATCH, {at, zero, token, zero}));
    return {};
}

std::optional<Text> next_event(Nanos until) {
    while (true) {
        while (const auto more = pull()) {
            if (!*more) break;
            if (reader.message().head.type == XS_WATCH_EVENT) keep_event(reader.message());
        }
        if (pending_count > 0) {
            const Text first = pending[0];
            for (usize i = 1; i < pending_count; ++i) pending[i - 1] = pending[i];
            --pending_count;
            return first;
        }
        if (time::now() > until) return std::nullopt;
        rest(until);
    }
}

Result<u64> wait_for_state(std::string_view other_end, u64 wanted, Nanos how_long) {
    const Text at = path("{}/state", other_end);
    for (const Nanos end = time::now() + how_long; time::now() < end; rest(time::now() + 20'000'000)) {
        const auto state = read_number(at.view());
        if (!state) continue;
        if (*state >= 5) return fail(XEN_ENODEV);
        if (*state >= wanted) return *state;
    }
    return fail(XEN_ETIME);
}

}  // namespace xylem::xenbus
