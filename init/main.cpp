// SPDX-License-Identifier: MIT
// The start, in order. Everything before this is arch/x86/boot/head.S.
#include <algorithm>
#include <optional>

#include "abi/xen.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/flight_recorder.hpp"
#include "arch/x86/entry/patch.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/io_apic.hpp"
#include "arch/x86/irqchip/legacy_pic.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/mm/device_frames.hpp"
#include "arch/x86/mm/early_memory.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/power/power.hpp"
#include "arch/x86/pv/io_ports.hpp"
#include "arch/x86/smp/smp.hpp"
#include "arch/x86/time/clock.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/console/console.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/domain/domain_list.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/memory_info.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "drivers/acpi/platform.hpp"
#include "drivers/acpi/tables.hpp"
#include "init/boot_info.hpp"
#include "init/console_setup.hpp"
#include "init/dom0/build.hpp"
#include "init/efi/services.hpp"
#include "init/hypervisor.hpp"
#include "init/watchdog.hpp"

extern "C" char image_begin[], image_end[];
extern "C" const xylem::u8 build_id_begin[], build_id_end[];
extern "C" [[noreturn]] void start_boot_cpu(xylem::u32 magic, xylem::u32 information);

namespace xylem {
namespace {

constinit Hypervisor the_hypervisor;
constinit EarlyMemory early_memory;

// Of the RAM that ends at `limit` or below.
u64 end_of_ram(const BootInfo& boot, u64 limit = ~u64{0}) {
    u64 end = 0;
    for (const MemoryRange& r : boot.memory())
        if (r.kind == MemoryKind::ram && r.end() <= limit) end = std::max(end, r.end());
    return end;
}

void add_ram(const BootInfo& boot) {
    for (const MemoryRange& r : boot.memory()) {
        log::info("memory {:016x} - {:016x} {}", r.start, r.end(),
                  r.kind == MemoryKind::ram ? "RAM"
                                            : (r.kind == MemoryKind::acpi  ? "ACPI data"
                                               : r.kind == MemoryKind::nvs ? "ACPI NVS"
                                                                           : "reserved"));
        // The first MiB belongs to the firmware's ways and stays dom0's to look at.
        if (r.kind == MemoryKind::ram && r.end() > mib) early_memory.add(std::max(r.start, u64{mib}), r.end());
    }
    early_memory.reserve(reinterpret_cast<u64>(image_begin) - layout::image_start,
                         reinterpret_cast<u64>(image_end) - layout::image_start);
    for (usize i = 0; i < boot.module_count; ++i)
        early_memory.reserve(boot.modules[i].start.raw, boot.modules[i].start.raw + boot.modules[i].bytes);
    recorder::keep_memory(early_memory, end_of_ram(boot, 4 * gib));
}

// Frames that are no RAM, inside the frame table's range, are nobody's: device or firmware memory. The M2P knows none of them.
void mark_frames(const BootInfo& boot) {
    const u64 count = layout::frame_count();
    std::fill_n(layout::m2p(), count, invalid_m2p_entry);
    const auto mark = [](u64 from, u64 to) {
        for (u64 i = from; i < to; ++i) {
            PageInfo& page = *find_page(Mfn(i));
            page.set_owner(domid_io);
            page.store({PageState::io_bit});
        }
    };
    u64 at = mib >> page_shift;
    mark(0, std::min(at, count));
    for (const MemoryRange& r : boot.memory()) {
        if (r.kind != MemoryKind::ram || r.end() <= mib) continue;
        const u64 start = std::max(align_up(r.start, page_size) >> page_shift, at);
        mark(at, std::min(start, count));
        at = std::max(at, align_down(r.end(), page_size) >> page_shift);
    }
    mark(at, count);
}

// dom0's tools read the M2P through mappings of their own: its frames are domid_xen's, used for ever as something that nobody
// can have writable.
void share_m2p() {
    for (u64 piece = 0; piece < port::m2p_extents(); ++piece) {
        const Mfn first = port::m2p_extent(piece);
        for (u64 i = 0; i < 2 * mib / page_size; ++i) {
            PageInfo& page = *find_page(first + i);
            page.set_owner(domid_xen);
            page.store(PageState{PageState::one_reference | PageState::one_type_use | PageState::validated_bit}.with_type(
                PageType::segment_descriptors));
        }
    }
}

class MappedMemory final : public acpi::PhysicalMemory {
   public:
    const u8* map(Maddr start, usize bytes) override {
        if (start.raw < 4 * gib && start.raw + bytes <= 4 * gib) return static_cast<const u8*>(layout::direct_map(start));
        return static_cast<const u8*>(ioremap(start, bytes, pte::read_only));
    }
};

void read_firmware(Hypervisor& hv) {
    MappedMemory memory;
    const auto tables = acpi::Tables::find(memory, hv.boot.rsdp.raw != 0 ? std::optional(hv.boot.rsdp) : std::nullopt);
    if (!tables) panic("no ACPI tables: a PC with ACPI is needed");
    acpi::read_platform(*tables, hv.platform);
    if (hv.platform.io_apics.empty())
        panic("the ACPI tables name no I/O APIC (see the lines above); dom0 would get no interrupts");
}

void keep_devices_from_dom0(const acpi::PlatformInfo& p) {
    deny_device_range(p.local_apic, page_size);
    deny_device_range(Maddr(0xfee0'0000), mib);
    for (const acpi::IoApic& a : p.io_apics) protect_device_range(a.address, page_size);
    if (p.hpet.raw != 0) protect_device_range(p.hpet, page_size);  // firmware methods read it
    if (p.pm_timer.exists() && p.pm_timer.space == acpi::Register::Space::io)
        pv::deny_ports(static_cast<u16>(p.pm_timer.address), static_cast<u16>(p.pm_timer.address + 3));
}

void read_wall_clock() {
    const Result<u64> seconds = time::read_wall_clock(the_hypervisor.platform);
    if (!seconds) log::warning("no battery-backed clock: dom0 starts in 1970 unless it sets the time");
    set_wall_clock(seconds ? *seconds : 0, 0, time::now());
}

constinit Timer clock_timer{};
void steer_clock(void*) {
    time::correct();
    timer_set(clock_timer, time::now() + time::correction_period);
}

// What is neither free nor dom0's, of the RAM above 1 MiB.
void report_own_memory(const Domain& dom0) {
    u64 ram = 0;
    for (const MemoryRange& r : the_hypervisor.boot.memory())
        if (r.kind == MemoryKind::ram && r.start >= mib)
            ram += (align_down(r.end(), page_size) - align_up(r.start, page_size)) >> page_shift;
    const u64 own = ram - frames().free_frames() - dom0.total_pages.load();
    log::info("memory: {} MiB, {} MiB dom0's, {} MiB free, {} KiB the hypervisor's own", ram >> 8, dom0.total_pages.load() >> 8,
              frames().free_frames() >> 8, own << 2);
}

[[noreturn]] void run(Domain& dom0) {
    Vcpu& v = *dom0.vcpus[0];
    the_hypervisor.started = true;
    console::the_console().dom0_started();
    v.domain.shared->vcpu_info[0].evtchn_upcall_mask = 1;
    sched::bring_up(v);
    start_default_periodic_timer(v);
    clock_timer.handler = steer_clock;
    timer_set(clock_timer, time::now() + time::correction_period);
    watchdog::start(the_hypervisor.options);
    sched::idle_loop();
}

std::optional<time::Source> wanted_clock(init::ClockSource option) {
    switch (option) {
        case init::ClockSource::hpet: return time::Source::hpet;
        case init::ClockSource::acpi: return time::Source::acpi;
        case init::ClockSource::pit: return time::Source::pit;
        default: return std::nullopt;  // the TSC counts in any case; by what it is steered is left open
    }
}

// On the boot CPU's own idle stack from here on.
[[noreturn]] void start_on_own_stack() {
    Hypervisor& hv = the_hypervisor;
    irqchip::silence_legacy_pic();
    irqchip::local_apic.enable_this_cpu(hv.platform);
    irqchip::io_apics.init(hv.platform);
    time::init(hv.platform, wanted_clock(hv.options.clocksource));
    start_console_clock();
    power::prepare(hv.platform);
    efi::prepare(hv.boot);
    read_wall_clock();
    const u32 limit = !hv.options.smp ? 1 : hv.options.maxcpus != 0 ? hv.options.maxcpus : max_cpus;
    start_other_cpus(hv.platform, limit, hv.options.smt);
    log::info("{} CPU(s), {} MiB of memory, {} MiB free", port::online_cpus(), frames().total_frames() >> 8,
              frames().free_frames() >> 8);
    keep_devices_from_dom0(hv.platform);
    sched::init_cpu(CpuId(0), *cpu_by_id(CpuId(0))->idle);
    control::set_first_ratelimit(hv.options.sched_ratelimit_us);
    irq::allow_messages(hv.options.msi);
    time::refine();
    recorder::learn_rate();
    Domain& dom0 = dom0::build(hv.kernel, hv.boot, hv.options);
    report_own_memory(dom0);
    finish_console_for_dom0();
    run(dom0);
}

}  // namespace

Hypervisor& hypervisor() {
    return the_hypervisor;
}
std::string_view command_line() {
    return the_hypervisor.boot.without_file_name(the_hypervisor.boot.command_line);
}
std::span<const u8> build_id() {
    constexpr usize note_header = 16;  // name and sizes before the id itself
    const usize bytes = static_cast<usize>(build_id_end - build_id_begin);
    return bytes <= note_header ? std::span<const u8>{} : std::span(build_id_begin + note_header, bytes - note_header);
}

namespace port {
std::span<const MemoryMapEntry> machine_memory_map() {
    static constinit std::array<MemoryMapEntry, BootInfo::max_ranges> entries{};
    const auto ranges = the_hypervisor.boot.memory();
    for (usize i = 0; i < ranges.size(); ++i) entries[i] = {ranges[i].start, ranges[i].bytes, static_cast<u32>(ranges[i].kind)};
    return {entries.data(), ranges.size()};
}
}  // namespace port

}  // namespace xylem

using namespace xylem;

void start_boot_cpu(u32 magic, u32 information) {
    Hypervisor& hv = the_hypervisor;
    load_early_descriptors();
    const bool understood = read_boot_info(magic, information, hv.boot);
    init::parse_options(command_line(), hv.options);
    start_console(hv.options);
    log::info("Xylem, a hypervisor for Xen guests (interface 4.17), loaded by {}", hv.boot.loader);
    log::info("command line: {}", hv.boot.command_line);
    if (!understood) panic("not started by a Multiboot loader (magic {:#x})", magic);
    if (hv.boot.module_count == 0)
        panic("no dom0 kernel: give the loader one as the first module (GRUB: module2, QEMU: -initrd)");
    if (hv.options.mem != 0) hv.boot.limit_ram(hv.options.mem);
    add_ram(hv.boot);
    if (hv.boot.left_out != 0) log::warning("{} lines of the firmware's memory maps are left out: too many", hv.boot.left_out);
    detect_features(hv.options.smep, hv.options.smap, true, true);
    patch_for_this_cpu();
    build_hypervisor_tables(early_memory, align_down(end_of_ram(hv.boot), page_size));
    mark_frames(hv.boot);
    share_m2p();
    hv.kernel = dom0::unpack_kernel(hv.boot.modules[0], early_memory);
    // The packed kernel is no longer needed.
    early_memory.add(hv.boot.modules[0].start.raw, hv.boot.modules[0].start.raw + hv.boot.modules[0].bytes);
    end_early_tables();
    for (const EarlyMemory::Range& r : early_memory.free_ranges())
        frames().add(Mfn(r.start >> page_shift), (r.end - r.start) >> page_shift);
    size_console_ring(hv.options.conring_size);
    recorder::start();
    read_firmware(hv);
    if (!hv.options.hpet) hv.platform.hpet = {};
    irqchip::local_apic.choose_mode(hv.platform, {hv.options.x2apic});
    adopt_boot_cpu(irqchip::local_apic.id());
    run_on_stack(*cpu_by_id(CpuId(0))->idle->arch, start_on_own_stack);
}
