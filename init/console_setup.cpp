// SPDX-License-Identifier: MIT
#include "init/console_setup.hpp"

#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/pv/io_ports.hpp"
#include "arch/x86/time/clock.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "base/log.hpp"
#include "core/console/console.hpp"
#include "core/domain/domain.hpp"
#include "core/irq/line.hpp"
#include "core/mem/heap.hpp"
#include "core/sched/timer.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"
#include "drivers/uart/uart16550.hpp"
#include "drivers/vga/text_mode.hpp"
#include "init/debug_keys.hpp"
#include "init/hypervisor.hpp"

namespace xylem {
namespace {

constinit uart::Uart16550 serial[2];
constinit vga::TextMode screen;
constinit bool screen_used = false;
constinit Timer poll_timer{};

constexpr Nanos poll_period = 50'000'000;

// By CPU 0 alone, with interrupts off.
void take_input() {
    char text[64];
    for (uart::Uart16550& port : serial) {
        if (!port.is_started()) continue;
        for (usize n = port.receive(text); n > 0; n = port.receive(text)) console::the_console().receive({text, n});
    }
}
void poll_serial(void*) {
    take_input();
    timer_set(poll_timer, time::now() + poll_period);
}

bool interrupts_work(uart::Uart16550& port) {
    if (port.irq() == 0) return false;
    const Result<irq::Line*> line = irq::lines().of_gsi(hypervisor().platform.gsi_of_isa(port.irq()).gsi);
    if (!line) return false;
    const Result<> served = (*line)->serve(take_input);
    if (!served && served.error() != XEN_EBUSY) return false;  // busy: the other port's line as well
    port.enable_receive_interrupt();
    return true;
}

class ConsoleEvents final : public console::Events {
   public:
    void input_ready() override { send_global_virq(VIRQ_CONSOLE); }
    void ring_grew() override { send_global_virq(VIRQ_CON_RING); }
};
constinit ConsoleEvents events;

void start_serial(unsigned index, const uart::Config& config, std::string_view name) {
    uart::Uart16550& port = serial[index];
    if (!port.start(config, name)) return;
    console::the_console().add_device(port);
    pv::deny_ports(port.io_base(), static_cast<u16>(port.io_base() + uart::Uart16550::port_count - 1));
}

}  // namespace

void start_console(const init::Options& options) {
    auto& c = console::the_console();
    c.configure(init::console_settings(options));
    if (options.console.com1) start_serial(0, options.com1, "com1");
    if (options.console.com2) start_serial(1, options.com2, "com2");
    const BootInfo& boot = hypervisor().boot;
    const bool text_screen = boot.efi_system_table == 0 && (!boot.framebuffer.present || boot.framebuffer.text);
    if (options.console.vga && text_screen) {
        screen.start(static_cast<volatile u16*>(layout::direct_map(Maddr(vga::TextMode::frame_address))));
        c.add_device(screen);
        screen_used = true;
    }
}

void size_console_ring(u64 bytes) {
    if (bytes == console::Console::default_ring_size) return;
    auto* memory = static_cast<char*>(heap_allocate(bytes));
    if (memory == nullptr || !console::the_console().move_ring({memory, bytes}))
        log::warning("conring_size: no {} KiB in one piece; the ring stays at {} KiB", bytes / kib,
                     console::Console::default_ring_size / kib);
}

void start_console_clock() {
    console::Clocks clocks;
    clocks.since_boot = [] { return time::now(); };
    clocks.unix_nanos = [] { return static_cast<i64>(wall_clock_base()) + time::now(); };
    clocks.raw = [] { return cpu::rdtsc(); };
    console::the_console().set_clocks(clocks);
}

void finish_console_for_dom0() {
    auto& c = console::the_console();
    if (screen_used) {
        const bool keep = hypervisor().options.vga_keep;
        c.remove_device(screen);
        screen.relinquish(keep);
        if (keep) c.add_device(screen, false);
    }
    c.set_events(&events);
    start_debug_keys();
    bool poll = false;
    for (uart::Uart16550& port : serial) poll |= port.is_started() && !interrupts_work(port);
    poll_timer.handler = poll_serial;
    if (poll) timer_set(poll_timer, time::now() + poll_period);
}

}  // namespace xylem
