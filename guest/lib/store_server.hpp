// SPDX-License-Identifier: MIT
// A minimal store, enough for a dom0 of this kit to serve domUs: a tree of paths and values with watches, in fixed memory.
// Permissions are by owner: a domain writes below /local/domain/ITSELF only. Transactions begin and end, but change nothing
// apart.
#pragma once

#include <array>
#include <string_view>

#include "guest/lib/store_wire.hpp"

namespace xylem::store {

class Server {
   public:
    static constexpr usize max_nodes = 192, max_path = 128, max_value = 128, max_watches = 32;

    struct Event {
        DomId to;
        Message message;
    };
    // The answer to one request of a domain. Watch events that it caused are fetched with next_event.
    void answer(DomId from, const Message& request, Message& reply);
    bool next_event(Event& out);

    // For the server's own kernel.
    bool set(std::string_view path, std::string_view value);
    std::string_view get(std::string_view path) const;
    void forget_domain(DomId domain);

   private:
    struct Node {
        char path[max_path];
        u8 path_length = 0;  // 0: free
        u8 value_length = 0;
        char value[max_value];
        std::string_view name() const { return {path, path_length}; }
    };
    struct Watch {
        DomId domain;
        bool used = false;
        u8 path_length = 0, token_length = 0;
        char path[max_path];
        char token[64];
    };
    struct Due {
        u8 watch;
        u8 length;
        char path[max_path];
    };

    Node* find(std::string_view path);
    const Node* find(std::string_view path) const;
    bool may_write(DomId who, std::string_view path) const;
    bool absolute(DomId from, std::string_view path, char (&out)[max_path], std::string_view& result) const;
    std::string_view request(DomId from, const Message& m, Message& reply);
    std::string_view list(std::string_view path, Message& reply) const;
    std::string_view remove(std::string_view path);
    std::string_view watch(DomId from, std::string_view path, std::string_view given, std::string_view token, bool add);
    void fire(std::string_view path);

    std::array<Node, max_nodes> nodes_{};
    std::array<Watch, max_watches> watches_{};
    std::array<Due, 32> due_{};
    usize due_count_ = 0;
    u32 next_transaction_ = 1;
};

}  // namespace xylem::store
