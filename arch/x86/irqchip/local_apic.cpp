// SPDX-License-Identifier: MIT
#include "arch/x86/irqchip/local_apic.hpp"

#include "arch/x86/irqchip/vectors.hpp"
#include "arch/x86/mm/ioremap.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "cpu/irqflags.hpp"

namespace xylem::irqchip {

using namespace hw::apic;

namespace {

constexpr u32 cpuid1_d_apic = 1U << 9;
constexpr u32 cpuid1_c_x2apic = 1U << 21;
constexpr u32 cpuid1_c_deadline = 1U << 24;
constexpr u32 last_xapic_id = 254;  // 255 is the broadcast

bool ids_need_x2apic(const acpi::PlatformInfo& info) {
    for (const acpi::Cpu& cpu : info.cpus)
        if (cpu.enabled && cpu.apic_id > last_xapic_id) return true;
    return false;
}

}  // namespace

void LocalApic::choose_mode(const acpi::PlatformInfo& info, Options options) {
    const cpu::CpuidRegs features = cpu::cpuid(1);
    if ((features.d & cpuid1_d_apic) == 0) panic("This CPU has no local APIC (CPUID.1:EDX bit 9): cannot run without.");
    deadline_timer_ = (features.c & cpuid1_c_deadline) != 0;
    const u64 base = cpu::rdmsr(msr_apic_base);
    const bool can = (features.c & cpuid1_c_x2apic) != 0;
    const bool firmware_chose = can && (base & base_x2apic) != 0;
    const bool needed = ids_need_x2apic(info);
    if (needed && !can)
        log::warning("APIC: CPUs with ids above {} need x2APIC, which this CPU has not; they stay off.", last_xapic_id);
    x2apic_ = can && (options.want_x2apic || needed || firmware_chose);
    // The MSR, not the MADT, is what the CPU obeys.
    address_ = Maddr(base & base_address_mask);
    if (address_.raw == 0) address_ = info.local_apic;
    if (!x2apic_) registers_ = ioremap_uncached(address_, page_size);
    log::info("APIC: Using {} at {:#x}, timer {}.", std::string_view(x2apic_ ? "x2APIC" : "xAPIC"), address_,
              std::string_view(deadline_timer_ ? "by TSC deadline" : "by its own clock"));
    switch_mode();  // id() reads by the chosen mode from now on
}

u32 LocalApic::timer_lvt() const {
    return timer_vector | (deadline_timer_ ? lvt_timer_deadline : 0);
}

void LocalApic::switch_mode() const {
    const u64 base = cpu::rdmsr(msr_apic_base);
    u64 wanted = (base & ~base_address_mask) | address_.raw | base_enabled;
    // xAPIC first: a disabled APIC must not go to x2APIC in one step [SDM 3, 11.12.5].
    if ((base & base_enabled) == 0) cpu::wrmsr(msr_apic_base, wanted & ~base_x2apic);
    if (x2apic_) wanted |= base_x2apic;
    if (wanted != base) cpu::wrmsr(msr_apic_base, wanted);
}

void LocalApic::enable_this_cpu(const acpi::PlatformInfo& info) {
    switch_mode();
    write(Reg::spurious, spurious_enable | spurious_vector);
    if (!x2apic_) {
        // Flat logical mode: no interrupt of ours uses logical destinations, but the register must be sane for lowest priority.
        write(Reg::destination_format, ~u32{0});
    }
    write(Reg::task_priority, 0);
    set_up_inputs(info);
    acknowledge_stale();
}

void LocalApic::set_up_inputs(const acpi::PlatformInfo& info) {
    const unsigned highest = highest_lvt(read(Reg::version));
    write(Reg::lvt_timer, timer_lvt());
    write(Reg::timer_initial, 0);
    write(Reg::timer_divide, timer_divide_by_16);
    // The mode and the deadline are told to the APIC in different ways: order them [SDM 3, 11.5.4.1].
    if (deadline_timer_) std::atomic_thread_fence(std::memory_order_seq_cst);
    if (highest >= 4) write(Reg::lvt_performance, lvt_masked);
    if (highest >= 5) write(Reg::lvt_thermal, lvt_masked);
    if (highest >= 6) write(Reg::lvt_machine_check, lvt_masked);

    u32 acpi_id = acpi::all_cpus;
    for (const acpi::Cpu& cpu : info.cpus)
        if (cpu.apic_id == id()) acpi_id = cpu.acpi_id;
    const bool is_boot_cpu = (cpu::rdmsr(msr_apic_base) & base_is_boot_cpu) != 0;
    u32 lint[2] = {lvt_masked, lvt_masked};
    for (const acpi::LocalNmi& nmi : info.local_nmis) {
        // What all CPUs are wired to is told once.
        if (nmi.acpi_id == acpi::all_cpus ? !is_boot_cpu : nmi.acpi_id != acpi_id) continue;
        // NMIs are always edge triggered, whatever the table says.
        lint[nmi.lint & 1] = delivery_bits(Delivery::nmi) | (nmi.mode.polarity == Polarity::low ? lvt_low_active : 0);
    }
    write(Reg::lvt_lint0, lint[0]);
    write(Reg::lvt_lint1, lint[1]);
    write(Reg::lvt_error, error_vector);
    take_errors();
}

// A boot loader may leave an interrupt in service that nobody will ever end.
void LocalApic::acknowledge_stale() {
    for (unsigned word = 0; word < 8; ++word)
        for (u32 bits = bit_register(Reg::in_service, word); bits != 0; bits &= bits - 1) eoi();
}

void LocalApic::command(u32 apic_id, u32 low) {
    low |= command_assert;
    if (x2apic_) {
        // Unlike an xAPIC's store, the MSR write does not wait for earlier stores: what the other CPU is told to look at must be
        // visible first [SDM 3, 11.12.3].
        std::atomic_thread_fence(std::memory_order_seq_cst);
        cpu::wrmsr(msr_of(Reg::command_low), u64{apic_id} << 32 | low);
        return;
    }
    // The two halves belong together: no handler may send between them.
    const u64 flags = cpu::irq_save();
    while ((read(Reg::command_low) & command_pending) != 0) cpu::relax();
    write(Reg::command_high, apic_id << 24);
    write(Reg::command_low, low);
    cpu::irq_restore(flags);
}

void LocalApic::send_init(u32 apic_id) {
    command(apic_id, delivery_bits(Delivery::init) | command_level);
}

void LocalApic::send_startup(u32 apic_id, u8 page) {
    command(apic_id, delivery_bits(Delivery::startup) | page);
}

void LocalApic::start_counting() {
    write(Reg::lvt_timer, lvt_masked | timer_vector);
    write(Reg::timer_initial, ~u32{0});
}

void LocalApic::stop_counting() {
    write(Reg::timer_initial, 0);
    write(Reg::lvt_timer, timer_lvt());
}

u32 LocalApic::take_errors() {
    write(Reg::error_status, 0);  // a write makes the collected bits readable [SDM 3, 11.5.3]
    const u32 errors = read(Reg::error_status);
    write(Reg::error_status, 0);
    return errors;
}

}  // namespace xylem::irqchip
