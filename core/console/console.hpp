// SPDX-License-Identifier: MIT
// The hypervisor's console: log lines and guests' output go to the ring and the devices, serial input goes to dom0 or to the
// debug keys. One object for the whole machine, `the_console()`; every function may be called in any context (interrupts
// included) unless it says otherwise, and takes the console's lock.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "base/log.hpp"
#include "core/console/device.hpp"
#include "core/console/guest_console.hpp"
#include "core/console/keys.hpp"
#include "core/console/lock.hpp"
#include "core/console/ring.hpp"
#include "core/console/settings.hpp"

namespace xylem::console {

class Console {
   public:
    static constexpr usize default_ring_size = 16 * kib;
    static constexpr usize max_devices = 4;

    constexpr Console() = default;
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    // --- set up, by init ---
    void configure(const Settings& settings);
    void set_clocks(const Clocks& clocks);
    void set_events(Events* events);
    void set_keys(KeyTable* keys);
    // Prints on `device` from now on; with `replay` first what the ring holds (so early messages are seen). False if there are
    // too many.
    // `device` must not log after this, and lives until remove_device().
    bool add_device(ConsoleDevice& device, bool replay = true);
    void remove_device(ConsoleDevice& device);
    // See ConsoleRing::move_to. The memory is never given back.
    bool move_ring(std::span<char> memory);
    // dom0 is about to run: serial input becomes its own unless the settings say otherwise.
    void dom0_started();
    // Called once by a panic, on the CPU that dies last: from here on no lock is waited for.
    void enter_panic() { lock_.break_open(); }

    // --- the hypervisor's own messages (log::emit ends here) ---
    void emit(log::Level level, std::string_view text);

    // --- guests ---
    // dom0's CONSOLEIO_write: goes to the devices as it is. `text` is in hypervisor memory.
    void write_dom0(std::string_view text);
    // Another domain's: whole lines, printable characters only, marked "(d1)", as debug messages within its budget.
    void write_guest(GuestConsole& guest, std::string_view text);
    // A message a guest has caused: marked "d1", by guest_loglvl, within its budget. Use guest_log().
    void emit_guest(GuestConsole& guest, log::Level level, std::string_view text);
    // Would emit_guest show this level at all? Lets callers save the formatting.
    bool shows_guest(log::Level level) const { return settings_.guest_log.shows(level); }

    // --- input ---
    // Characters came from a serial device. Keys run before it returns.
    void receive(std::string_view chars);
    // Presses a debug key, whoever the input goes to. No locks held.
    void press_key(char key);
    // dom0's CONSOLEIO_read: takes up to out.size() characters.
    usize read_input(std::span<char> out);

    // --- the ring [XEN_SYSCTL_readconsole]: first = start_read(…); while ((n = read_ring(index, chunk)) > 0) copy; clear? ---
    u32 start_read(bool incremental, u32 index);
    usize read_ring(u32& index, std::span<char> out);
    void clear_ring_to(u32 index);

   private:
    enum class Target : u8 { hypervisor, dom0 };

    Nanos now() const XYLEM_REQUIRES(lock_);
    void put_lines(std::string_view mark, std::string_view text, bool to_devices) XYLEM_REQUIRES(lock_);
    void put_line(std::string_view mark, std::string_view text, bool to_devices) XYLEM_REQUIRES(lock_);
    void put_stamp(text::Sink& out) const XYLEM_REQUIRES(lock_);
    void put(std::string_view text, bool to_devices) XYLEM_REQUIRES(lock_);
    void to_devices(std::string_view text) XYLEM_REQUIRES(lock_);
    Events* put_guest_line(GuestConsole& guest) XYLEM_REQUIRES(guest.lock_) XYLEM_EXCLUDES(lock_);
    void report_suppressed(RateLimit& budget, std::string_view whose) XYLEM_REQUIRES(lock_);
    void switch_input(Target target) XYLEM_REQUIRES(lock_);
    // Stores the character for dom0 and answers 0, or answers the debug key to press.
    char deliver(char c) XYLEM_REQUIRES(lock_);
    // The object to tell that the ring grew, or null if it was told already and nobody has read since.
    Events* ring_listener() XYLEM_REQUIRES(lock_);

    BreakableLock lock_;
    Settings settings_;  // written before other CPUs run
    Clocks clocks_ XYLEM_GUARDED_BY(lock_);
    Events* events_ XYLEM_GUARDED_BY(lock_) = nullptr;
    KeyTable* keys_ XYLEM_GUARDED_BY(lock_) = nullptr;
    std::array<ConsoleDevice*, max_devices> devices_ XYLEM_GUARDED_BY(lock_){};
    RateLimit budget_ XYLEM_GUARDED_BY(lock_);
    bool mid_line_ XYLEM_GUARDED_BY(lock_) = false;       // dom0's output stopped within a line
    bool listener_told_ XYLEM_GUARDED_BY(lock_) = false;  // ring_grew() was called after the last start_read()
    bool ring_dirty_ XYLEM_GUARDED_BY(lock_) = false;     // text came since ring_listener() last looked

    Target target_ XYLEM_GUARDED_BY(lock_) = Target::hypervisor;
    u8 switches_ XYLEM_GUARDED_BY(lock_) = 0;  // how many switch characters came in a row and wait
    static constexpr u32 input_size = 256;
    u32 input_begin_ XYLEM_GUARDED_BY(lock_) = 0;
    u32 input_end_ XYLEM_GUARDED_BY(lock_) = 0;
    std::array<char, input_size> input_ XYLEM_GUARDED_BY(lock_){};

    std::array<char, default_ring_size> first_ring_ XYLEM_GUARDED_BY(lock_){};
    ConsoleRing ring_ XYLEM_GUARDED_BY(lock_);
};

// The machine's console; ready before anything is set up (then it only fills the ring).
Console& the_console();

template <class... Args>
void guest_log(Console& console, GuestConsole& guest, log::Level level, text::FormatString<std::type_identity_t<Args>...> f,
               const Args&... args) {
    if (!console.shows_guest(level)) return;
    text::FixedText<320> line;
    text::format<Args...>(line, f, args...);
    console.emit_guest(guest, level, line.view());
}

}  // namespace xylem::console
