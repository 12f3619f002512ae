// SPDX-License-Identifier: MIT
#include "core/console/keys.hpp"

#include <bit>

#include "base/log.hpp"

namespace xylem::console {
namespace {

constexpr bool is_ascii_letter(char key) {
    return key > ' ' && key <= '~';
}

}  // namespace

void KeyTable::start(Groups groups, void (*run_soon)()) {
    groups_ = groups;
    run_soon_ = run_soon;
    for (const auto& group : groups_) {
        for (const KeyHandler& handler : group) {
            if (!is_ascii_letter(handler.key) || handler.key == 'h' || handler.key == '*' || find(handler.key) != &handler)
                log::warning("debug key '{}' ({}) is taken or no letter: it will not run", handler.key, handler.help);
        }
    }
}

const KeyHandler* KeyTable::find(char key) const {
    for (const auto& group : groups_)
        for (const KeyHandler& handler : group)
            if (handler.key == key) return &handler;
    return nullptr;
}

void KeyTable::press(char key) {
    if (!is_ascii_letter(key)) return;
    if (key == 'h') return help();
    if (key == '*') return defer(key);
    const KeyHandler* handler = find(key);
    if (handler == nullptr) return log::info("no debug key '{}'; 'h' lists the keys", key);
    if (handler->irq_context) return handler->run(key);
    defer(key);
}

void KeyTable::defer(char key) {
    const unsigned bit = static_cast<unsigned char>(key);
    pending_[bit / 64].fetch_or(u64{1} << (bit % 64), std::memory_order_acq_rel);
    if (run_soon_ != nullptr) run_soon_();
}

void KeyTable::run_pending() {
    for (unsigned word = 0; word < pending_.size(); ++word) {
        u64 bits = pending_[word].exchange(0, std::memory_order_acq_rel);
        for (; bits != 0; bits &= bits - 1) {
            const char key = static_cast<char>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
            if (key == '*') {
                run_all();
            } else if (const KeyHandler* handler = find(key); handler != nullptr) {
                log::info("debug key '{}': {}", key, handler->help);
                handler->run(key);
            }
        }
    }
}

void KeyTable::help() const {
    log::info("debug keys:");
    log::info(" h  this list");
    log::info(" *  all keys that only print");
    for (const auto& group : groups_)
        for (const KeyHandler& handler : group)
            if (find(handler.key) == &handler) log::info(" {}  {}", handler.key, handler.help);
}

void KeyTable::run_all() const {
    for (const auto& group : groups_) {
        for (const KeyHandler& handler : group) {
            if (handler.changes_state || find(handler.key) != &handler) continue;
            log::info("debug key '{}': {}", handler.key, handler.help);
            handler.run(handler.key);
        }
    }
}

}  // namespace xylem::console
