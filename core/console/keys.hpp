// SPDX-License-Identifier: MIT
// Debug keys: one letter typed at the hypervisor's console, or `xl debug-keys`, prints the state of one subsystem.
// Letters follow Xen: 0 dom0's registers, d registers, q domains and vCPUs, r run queues, m memory, e event channels,
// g grant tables, i interrupt bindings, z IO-APIC, M MSI, t time, a timers, w synchronous console, n NMI, R reboot, C crash.
// 'h' (help) and '*' (all) belong to the table itself.
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <string_view>

#include "base/types.hpp"

namespace xylem::console {

struct KeyHandler {
    char key;
    const char* help;  // a few words, for the list of 'h'
    bool irq_context;  // true: runs at once, in the interrupt that brought the key; false: runs later, from run_pending()
    void (*run)(char);
    bool changes_state = false;  // reboots, crashes, switches something: '*' leaves it out
};

class KeyTable {
   public:
    // Each subsystem's handlers; arrays and handlers live as long as the hypervisor. The first of two equal letters wins.
    using Groups = std::span<const std::span<const KeyHandler>>;

    constexpr KeyTable() = default;
    constexpr explicit KeyTable(Groups groups) : groups_(groups) {}

    // Sets the handlers. `run_soon` is called when run_pending() has work, in any context, without locks; it must arrange
    // for that call (a softirq). Not while keys can arrive. Logs a warning for every letter that is taken twice.
    void start(Groups groups, void (*run_soon)());

    // A key was typed. Callable in any context without locks. Unknown keys print one line that names 'h'.
    void press(char key);

    // Runs what press() put off, in the order of the letters. May log at length.
    void run_pending();

   private:
    const KeyHandler* find(char key) const;
    void defer(char key);
    void help() const;
    void run_all() const;

    Groups groups_;
    void (*run_soon_)() = nullptr;
    std::array<std::atomic<u64>, 2> pending_{};  // one bit per ASCII letter
};

}  // namespace xylem::console
