// SPDX-License-Identifier: MIT
#include "core/console/console.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

using namespace xylem;
using namespace xylem::console;
using log::Level;

namespace {

struct Screen final : ConsoleDevice {
    std::string text;
    void write(std::string_view s) override { text += s; }
    std::string take() { return std::exchange(text, {}); }
};

struct Listener final : Events {
    unsigned inputs = 0;
    unsigned rings = 0;
    void input_ready() override { ++inputs; }
    void ring_grew() override { ++rings; }
};

Nanos fake_now = 0;
std::string pressed;

class ConsoleTest : public ::testing::Test {
   protected:
    void SetUp() override {
        fake_now = 0;
        pressed.clear();
        console->set_events(&events);
        ASSERT_TRUE(console->add_device(screen));
    }
    void configure(auto change) {
        Settings settings;
        change(settings);
        console->configure(settings);
    }
    std::string ring() {
        std::string text(1 << 16, 0);
        u32 index = console->start_read(false, 0);
        text.resize(console->read_ring(index, text));
        return text;
    }
    std::string input() {
        char text[512];
        return std::string(text, console->read_input(text));
    }
    static Clocks clocks() {
        return {.since_boot = [] { return fake_now; },
                .unix_nanos = [] { return i64{1709251199} * 1'000'000'000 + 7'000'000; },
                .raw = [] { return u64{0xabc}; }};
    }

    std::unique_ptr<Console> console = std::make_unique<Console>();
    Screen screen;
    Listener events;
};

TEST_F(ConsoleTest, LinesAreMarked) {
    console->emit(Level::info, "hello");
    console->emit(Level::info, "two\nlines\n");
    EXPECT_EQ(screen.text, "(XEN) hello\n(XEN) two\n(XEN) lines\n");
    EXPECT_EQ(ring(), screen.text);
}

TEST_F(ConsoleTest, LevelsChooseDevicesAndRing) {
    configure([](Settings& s) { s.log = {1, 1}; });
    console->emit(Level::error, "e");
    console->emit(Level::info, "i");
    console->emit(Level::debug, "d");
    EXPECT_EQ(screen.text, "(XEN) e\n");
    EXPECT_EQ(ring(), "(XEN) e\n(XEN) i\n");
    configure([](Settings& s) { s.log = {4, 4}; });
    console->emit(Level::debug, "d");
    EXPECT_EQ(screen.text, "(XEN) e\n(XEN) d\n");
}

TEST_F(ConsoleTest, LateDeviceGetsEarlyText) {
    console->emit(Level::info, "early");
    Screen late;
    ASSERT_TRUE(console->add_device(late));
    EXPECT_EQ(late.take(), "(XEN) early\n");
    console->remove_device(screen);
    screen.take();
    console->emit(Level::info, "now");
    EXPECT_EQ(late.text, "(XEN) now\n");
    EXPECT_EQ(screen.text, "");
    console->remove_device(late);
    late.take();
    ASSERT_TRUE(console->add_device(late, false));
    EXPECT_EQ(late.text, "");
    Screen more[4];
    EXPECT_TRUE(console->add_device(more[0]) && console->add_device(more[1]) && console->add_device(more[2]));
    EXPECT_FALSE(console->add_device(more[3]));
}

TEST_F(ConsoleTest, Timestamps) {
    const std::pair<console::Timestamps, std::string> kinds[] = {{Timestamps::boot, "[    1.234567] "},
                                                                 {Timestamps::date, "[2024-02-29 23:59:59] "},
                                                                 {Timestamps::date_and_msec, "[2024-02-29 23:59:59.007] "},
                                                                 {Timestamps::raw, "[0000000000000abc] "},
                                                                 {Timestamps::none, ""}};
    configure([](Settings& s) { s.timestamps = Timestamps::date; });
    console->emit(Level::info, "x");
    EXPECT_EQ(screen.take(), "(XEN) [    0.000000] x\n") << "no clock yet";
    console->set_clocks(clocks());
    fake_now = 1'234'567'890;
    for (const auto& [kind, stamp] : kinds) {
        configure([kind](Settings& s) { s.timestamps = kind; });
        console->emit(Level::info, "x");
        EXPECT_EQ(screen.take(), "(XEN) " + stamp + "x\n");
    }
}

TEST_F(ConsoleTest, RateLimitedLevels) {
    configure([](Settings& s) { s.log = {1, 3}; });
    console->set_clocks(clocks());
    for (int i = 0; i < 30; ++i) console->emit(Level::info, "spam");
    EXPECT_EQ(screen.take().size(), RateLimit::burst * std::string_view("(XEN) spam\n").size());
    console->emit(Level::error, "always");
    EXPECT_EQ(screen.take(), "(XEN) always\n");
    fake_now += RateLimit::refill;
    console->emit(Level::info, "again");
    EXPECT_EQ(screen.take(), "(XEN) 20 messages suppressed\n(XEN) again\n");
}

TEST_F(ConsoleTest, Dom0IsRaw) {
    console->write_dom0("[0.1] Linux\n\x1b[1mlogin: ");
    EXPECT_EQ(screen.take(), "[0.1] Linux\n\x1b[1mlogin: ");
    EXPECT_EQ(ring(), "");
    console->emit(Level::info, "message");
    EXPECT_EQ(screen.take(), "\n(XEN) message\n") << "our line starts at the margin";
    EXPECT_EQ(ring(), "(XEN) message\n");
    configure([](Settings& s) { s.guest_to_ring = true; });
    console->write_dom0("kept\n");
    EXPECT_EQ(ring(), "(XEN) message\nkept\n");
}

TEST_F(ConsoleTest, GuestLines) {
    GuestConsole guest(DomId(7));
    console->write_guest(guest, "hidden by default\n");
    EXPECT_EQ(screen.text, "");
    configure([](Settings& s) { s.guest_log = {0, 4}; });
    console->write_guest(guest, "ab\x1b");
    EXPECT_EQ(screen.text, "");
    console->write_guest(guest, "c\r\nd\n");
    EXPECT_EQ(screen.take(), "(XEN) (d7) abc\n(XEN) (d7) d\n");
    console->write_guest(guest, std::string(GuestConsole::line_limit + 5, 'x') + "\n");
    EXPECT_EQ(screen.take(), "(XEN) (d7) " + std::string(GuestConsole::line_limit, 'x') + "\n(XEN) (d7) xxxxx\n");
}

TEST_F(ConsoleTest, GuestsHaveBudgets) {
    console->set_clocks(clocks());
    GuestConsole loud(DomId(1));
    GuestConsole quiet(DomId(2));
    for (int i = 0; i < 100; ++i) guest_log(*console, loud, Level::warning, "bad call {}", i);
    const std::string flood = screen.take();
    EXPECT_EQ(std::count(flood.begin(), flood.end(), '\n'), RateLimit::burst);
    EXPECT_TRUE(flood.starts_with("(XEN) d1 bad call 0\n"));
    guest_log(*console, quiet, Level::warning, "one");
    EXPECT_EQ(screen.take(), "(XEN) d2 one\n");
    fake_now += 100 * RateLimit::refill;
    guest_log(*console, loud, Level::error, "later");
    EXPECT_EQ(screen.take(), "(XEN) d1 90 messages suppressed\n(XEN) d1 later\n");
    guest_log(*console, loud, Level::info, "not shown");
    EXPECT_EQ(screen.take(), "");
}

TEST_F(ConsoleTest, RingListenerIsToldOncePerRead) {
    console->emit(Level::info, "a");
    console->emit(Level::info, "b");
    EXPECT_EQ(events.rings, 1u);
    ring();
    console->write_dom0("not in the ring");
    EXPECT_EQ(events.rings, 1u);
    console->emit(Level::info, "c");
    EXPECT_EQ(events.rings, 2u);
}

constexpr KeyHandler handlers[] = {
    {'d', "registers", true, [](char key) { pressed += key; }},
    {'q', "domains", false, [](char key) { pressed += key; }},
    {'R', "reboot", false, [](char key) { pressed += key; }, true},
};
constexpr std::span<const KeyHandler> groups[] = {handlers};

TEST_F(ConsoleTest, InputGoesToKeysThenToDom0) {
    KeyTable keys{groups};
    console->set_keys(&keys);
    console->receive("d");
    EXPECT_EQ(pressed, "d");
    console->dom0_started();
    EXPECT_EQ(screen.take(), "(XEN) *** Serial input to DOM0 (type 'CTRL-a' three times to switch input)\n");
    console->dom0_started();
    EXPECT_EQ(screen.take(), "");
    console->receive("root\r");
    EXPECT_EQ(events.inputs, 1u);
    EXPECT_EQ(input(), "root\r");
    EXPECT_EQ(input(), "");
    console->receive("\x01\x01");
    console->receive(
        "\x01"
        "d");
    EXPECT_EQ(screen.take(), "(XEN) *** Serial input to Xen (type 'CTRL-a' three times to switch input)\n");
    EXPECT_EQ(pressed, "dd");
    EXPECT_EQ(input(), "");
    console->receive("\x01\x01\x01");
    EXPECT_EQ(screen.take(), "(XEN) *** Serial input to DOM0 (type 'CTRL-a' three times to switch input)\n");
}

TEST_F(ConsoleTest, TooFewSwitchCharactersReachDom0) {
    console->dom0_started();
    console->receive("\x01\x01x\x01y");
    EXPECT_EQ(input(), "\x01\x01x\x01y");
}

TEST_F(ConsoleTest, SwitchingCanBeOffOrElsewhere) {
    configure([](Settings& s) { s.switch_letter = 0; });
    console->dom0_started();
    EXPECT_EQ(screen.take(), "(XEN) *** Serial input to DOM0\n");
    console->receive("\x01\x01\x01");
    EXPECT_EQ(input(), "\x01\x01\x01");
    auto other = std::make_unique<Console>();
    Settings settings;
    settings.switch_at_start = false;
    other->configure(settings);
    other->dom0_started();
    other->receive("x");
    char c;
    EXPECT_EQ(other->read_input({&c, 1}), 0u);
}

TEST_F(ConsoleTest, FullInputDropsTheNewest) {
    console->dom0_started();
    console->receive(std::string(300, 'a') + "b");
    EXPECT_EQ(input(), std::string(256, 'a'));
    console->receive("c");
    EXPECT_EQ(input(), "c");
}

TEST_F(ConsoleTest, PanicNeedsNoLock) {
    // A device that panics in write(): the lock is held, its holder is the one who reports.
    struct Dying final : ConsoleDevice {
        Console* console = nullptr;
        bool died = false;
        void write(std::string_view) override {
            if (std::exchange(died, true)) return;
            console->enter_panic();
            console->emit(Level::error, "panic");
        }
    } dying;
    dying.console = console.get();
    ASSERT_TRUE(console->add_device(dying));
    configure([](Settings& s) { s.log = {1, 1}; });
    console->emit(Level::error, "first");
    EXPECT_NE(screen.text.find("(XEN) panic\n"), std::string::npos);
}

TEST_F(ConsoleTest, InterruptsAreRestored) {
    console->emit(Level::info, "x");
    console->receive("x");
    EXPECT_TRUE(cpu::irqs_enabled());
}

TEST(ConsoleThresholds, Parse) {
    EXPECT_EQ(parse_thresholds("all"), (Thresholds{4, 4}));
    EXPECT_EQ(parse_thresholds("none/warning"), (Thresholds{0, 2}));
    EXPECT_EQ(parse_thresholds("debug/error"), (Thresholds{1, 1}));
    for (const char* bad : {"", "/", "info/", "/info", "loud", "info/info/info"})
        EXPECT_EQ(parse_thresholds(bad), std::nullopt) << bad;
}

TEST(ConsoleKeys, DeferredKeysRunLater) {
    pressed.clear();
    static unsigned soon;
    soon = 0;
    KeyTable keys;
    keys.start(groups, [] { ++soon; });
    keys.press('q');
    keys.press('q');
    keys.press('R');
    EXPECT_EQ(pressed, "");
    EXPECT_EQ(soon, 3u);
    keys.run_pending();
    EXPECT_EQ(pressed, "Rq") << "once each";
    keys.run_pending();
    EXPECT_EQ(pressed, "Rq");
    keys.press('*');
    keys.run_pending();
    EXPECT_EQ(pressed, "Rqdq") << "all, but what changes state";
    keys.press('\r');
    keys.press('!');
    keys.press(static_cast<char>(0xe4));
    keys.press('h');
    EXPECT_EQ(pressed, "Rqdq");
}

}  // namespace
