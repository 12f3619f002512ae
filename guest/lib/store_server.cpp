// SPDX-License-Identifier: MIT
#include "guest/lib/store_server.hpp"

#include "base/text/format.hpp"
#include "base/text/parse.hpp"

namespace xylem::store {
namespace {

constexpr std::string_view good = "";

void copy_to(char* to, std::string_view s) {
    std::copy_n(s.data(), s.size(), to);
}
void put_text(Message& m, std::string_view s) {
    m.head.len = static_cast<u32>(std::min<usize>(s.size(), payload_max));
    copy_to(m.text, s.substr(0, m.head.len));
}
void append(Message& m, std::string_view s) {
    const usize n = std::min<usize>(s.size(), payload_max - m.head.len);
    copy_to(m.text + m.head.len, s.substr(0, n));
    m.head.len += static_cast<u32>(n);
}
// True for the path itself and for what lies below it.
bool is_below(std::string_view path, std::string_view top) {
    return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/' || top == "/");
}
bool is_path(std::string_view p) {
    if (p.empty() || (p.size() > 1 && p.back() == '/') || p.find("//") != std::string_view::npos) return false;
    return std::all_of(p.begin(), p.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '-' || c == '_' ||
               c == '@' || c == ':';
    });
}

}  // namespace

Server::Node* Server::find(std::string_view path) {
    for (Node& n : nodes_)
        if (n.path_length != 0 && n.name() == path) return &n;
    return nullptr;
}
const Server::Node* Server::find(std::string_view path) const {
    return const_cast<Server*>(this)->find(path);
}

bool Server::may_write(DomId who, std::string_view path) const {
    if (who == DomId(0)) return true;
    text::FixedText<40> own;
    text::format(own, "/local/domain/{}", who);
    return is_below(path, own.view());
}

// Relative paths start at the domain's own place.
bool Server::absolute(DomId from, std::string_view path, char (&out)[max_path], std::string_view& result) const {
    text::FixedText<max_path> whole;
    if (!path.starts_with('/') && !path.starts_with('@')) text::format(whole, "/local/domain/{}/", from);
    whole.write(path);
    if (whole.truncated() || !is_path(whole.view())) return false;
    copy_to(out, whole.view());
    result = {out, whole.view().size()};
    return true;
}

bool Server::set(std::string_view path, std::string_view value) {
    if (path.size() >= max_path || value.size() >= max_value) return false;
    // Parents come into being with their children.
    for (usize end = path.find('/', 1); end != std::string_view::npos; end = path.find('/', end + 1))
        if (find(path.substr(0, end)) == nullptr && !set(path.substr(0, end), "")) return false;
    Node* n = find(path);
    if (n == nullptr) {
        const auto slot = std::find_if(nodes_.begin(), nodes_.end(), [](const Node& node) { return node.path_length == 0; });
        if (slot == nodes_.end()) return false;
        n = &*slot;
        copy_to(n->path, path);
        n->path_length = static_cast<u8>(path.size());
    }
    copy_to(n->value, value);
    n->value_length = static_cast<u8>(value.size());
    fire(path);
    return true;
}

std::string_view Server::get(std::string_view path) const {
    const Node* n = find(path);
    return n != nullptr ? std::string_view(n->value, n->value_length) : std::string_view();
}

void Server::fire(std::string_view path) {
    for (usize i = 0; i < watches_.size(); ++i) {
        const Watch& w = watches_[i];
        if (!w.used || !is_below(path, {w.path, w.path_length}) || due_count_ == due_.size()) continue;
        Due& d = due_[due_count_++];
        d.watch = static_cast<u8>(i);
        d.length = static_cast<u8>(path.size());
        copy_to(d.path, path);
    }
}

bool Server::next_event(Event& out) {
    while (due_count_ > 0) {
        const Due d = due_[0];
        std::copy(due_.begin() + 1, due_.begin() + static_cast<std::ptrdiff_t>(due_count_), due_.begin());
        --due_count_;
        const Watch& w = watches_[d.watch];
        if (!w.used) continue;
        out.to = w.domain;
        out.message.head = {.type = XS_WATCH_EVENT, .req_id = 0, .tx_id = 0, .len = 0};
        append(out.message, {d.path, d.length});
        append(out.message, {"\0", 1});
        append(out.message, {w.token, w.token_length});
        append(out.message, {"\0", 1});
        return true;
    }
    return false;
}

void Server::forget_domain(DomId domain) {
    for (Watch& w : watches_)
        if (w.domain == domain) w.used = false;
    text::FixedText<40> own;
    text::format(own, "/local/domain/{}", domain);
    remove(own.view());
}

std::string_view Server::list(std::string_view path, Message& reply) const {
    if (find(path) == nullptr && path != "/") return "ENOENT";
    for (const Node& n : nodes_) {
        if (n.path_length <= path.size() || !is_below(n.name(), path)) continue;
        const std::string_view rest = n.name().substr(path == "/" ? 1 : path.size() + 1);
        if (rest.find('/') != std::string_view::npos) continue;
        append(reply, rest);
        append(reply, {"\0", 1});
    }
    return good;
}

std::string_view Server::remove(std::string_view path) {
    bool any = false;
    for (Node& n : nodes_)
        if (n.path_length != 0 && is_below(n.name(), path)) {
            n.path_length = 0;
            any = true;
        }
    if (any) fire(path);
    return any ? good : "ENOENT";
}

std::string_view Server::watch(DomId from, std::string_view path, std::string_view given, std::string_view token, bool add) {
    if (token.size() >= sizeof(Watch::token)) return "E2BIG";
    const auto same = [&](const Watch& w) {
        return w.used && w.domain == from && std::string_view(w.path, w.path_length) == path &&
               std::string_view(w.token, w.token_length) == token;
    };
    const auto old = std::find_if(watches_.begin(), watches_.end(), same);
    if (!add) {
        if (old == watches_.end()) return "ENOENT";
        old->used = false;
        return good;
    }
    if (old != watches_.end()) return "EEXIST";
    const auto slot = std::find_if(watches_.begin(), watches_.end(), [](const Watch& w) { return !w.used; });
    if (slot == watches_.end() || given.size() >= max_path) return "ENOSPC";
    slot->used = true;
    slot->domain = from;
    slot->path_length = static_cast<u8>(path.size());
    copy_to(slot->path, path);
    slot->token_length = static_cast<u8>(token.size());
    copy_to(slot->token, token);
    if (due_count_ < due_.size()) {  // a new watch fires once
        Due& d = due_[due_count_++];
        d.watch = static_cast<u8>(slot - watches_.begin());
        d.length = static_cast<u8>(path.size());
        copy_to(d.path, path);
    }
    return good;
}

// "" when it went well, else the error's name.
std::string_view Server::request(DomId from, const Message& m, Message& reply) {
    std::string_view rest = m.payload();
    char room[max_path];
    std::string_view path;
    const auto needs_path = [&](std::string_view given) { return absolute(from, given, room, path); };
    switch (m.head.type) {
        case XS_READ: {
            if (!needs_path(take_string(rest))) return "EINVAL";
            const Node* n = find(path);
            if (n == nullptr) return "ENOENT";
            put_text(reply, {n->value, n->value_length});
            return good;
        }
        case XS_WRITE:
            if (!needs_path(take_string(rest))) return "EINVAL";
            if (!may_write(from, path)) return "EACCES";
            if (!set(path, rest)) return "ENOSPC";
            break;
        case XS_MKDIR:
            if (!needs_path(take_string(rest))) return "EINVAL";
            if (!may_write(from, path)) return "EACCES";
            if (find(path) == nullptr && !set(path, "")) return "ENOSPC";
            break;
        case XS_RM:
            if (!needs_path(take_string(rest))) return "EINVAL";
            if (!may_write(from, path)) return "EACCES";
            if (const auto error = remove(path); !error.empty()) return error;
            break;
        case XS_DIRECTORY: return needs_path(take_string(rest)) ? list(path, reply) : "EINVAL";
        case XS_WATCH:
        case XS_UNWATCH: {
            const std::string_view given = take_string(rest);
            if (!needs_path(given)) return "EINVAL";
            if (const auto error = watch(from, path, given, take_string(rest), m.head.type == XS_WATCH); !error.empty())
                return error;
            break;
        }
        case XS_TRANSACTION_START: {
            text::FixedText<12> id;
            text::format(id, "{}", next_transaction_++);
            put_text(reply, id.view());
            append(reply, {"\0", 1});
            return good;
        }
        case XS_TRANSACTION_END: break;
        case XS_GET_DOMAIN_PATH: {
            const auto id = text::parse_number(take_string(rest));
            if (!id) return "EINVAL";
            text::FixedText<40> own;
            text::format(own, "/local/domain/{}", *id);
            put_text(reply, own.view());
            append(reply, {"\0", 1});
            return good;
        }
        case XS_SET_PERMS: break;  // owners are by place
        default: return "ENOSYS";
    }
    put_text(reply, {"OK", 3});
    return good;
}

void Server::answer(DomId from, const Message& m, Message& reply) {
    reply.head = {.type = m.head.type, .req_id = m.head.req_id, .tx_id = m.head.tx_id, .len = 0};
    const std::string_view error = request(from, m, reply);
    if (error.empty()) return;
    reply.head.type = XS_ERROR;
    put_text(reply, error);
    append(reply, {"\0", 1});
}

}  // namespace xylem::store
