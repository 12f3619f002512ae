// SPDX-License-Identifier: MIT
// A dom0 with real devices: the firmware's tables, a disk that reads a sector and a network card that answers ARP, by line or
// message.
#include "guest/drivers/e1000e.hpp"
#include "guest/drivers/nvme.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/acpi.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/interrupts.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

void firmware() {
    const auto p = acpi::platform();
    if (!p) story::error("no ACPI tables");
    story::equal("acpi/io-apics", (*p)->io_apic_count, 1);
    story::equal_hex("acpi/its address", (*p)->io_apics[0].address, 0xfec00000);
    story::equal("acpi/its pins", (*p)->io_apics[0].pins, 24);
    story::equal("acpi/timer's line arrives at", (*p)->line(0).gsi, 2);
    story::is("acpi/sci is level", (*p)->line(9).level);
    story::equal("acpi/sci", (*p)->sci, 9);
    story::equal("acpi/processors", (*p)->cpu_count, 1);
}

void memory_for_devices() {
    const auto b = dma::allocate(4, 32);
    if (!b) story::error("no memory for devices");
    bool neighbours = true;
    for (u64 i = 0; i < 16; ++i)
        if (machine_address(b->memory + i * page_size).raw != b->at.raw + i * page_size) neighbours = false;
    story::is("dma/sixteen pages are neighbours", neighbours);
    story::is("dma/below 4 GiB", b->at.raw + b->bytes <= u64{1} << 32);
    const auto too_many = dma::allocate(20);
    story::is("dma/too many pages are refused", !too_many && too_many.error() == XEN_EINVAL);
}

void disk(nvme::Wait wait) {
    const auto device = pci::find_class(0x010802);
    if (!device) story::error("no NVMe controller");
    story::show("nvme/pci_device_add", pci::announce(*device));
    const auto controller = nvme::Controller::start(*device, wait);
    if (!controller) {
        story::equal("nvme/start", -static_cast<i64>(controller.error()), 0);
        return;
    }
    story::equal("nvme/sectors", static_cast<i64>((*controller)->size_in_sectors()), 2048);
    auto* memory = static_cast<char*>(allocate_pages());
    for (const u64 sector : {u64{0}, u64{7}, u64{2047}}) {
        text::FixedText<40> name, wanted;
        text::format(name, "nvme/sector {}", sector);
        text::format(wanted, "sector {:08}", sector);
        if (const auto r = (*controller)->read(sector, 1, memory); !r) {
            story::equal(name.view(), -static_cast<i64>(r.error()), 0);
            continue;
        }
        story::show_text(name.view(), {memory, 15});
    }
    // Two sectors into memory that is no neighbour of itself in the machine, or too high: through the bounce buffer.
    auto* across = static_cast<char*>(allocate_pages(1)) + page_size - 512;
    const auto r = (*controller)->read(100, 2, across);
    story::is("nvme/two sectors across pages", r.has_value() && std::string_view(across, 15) == "sector 00000100" &&
                                                   std::string_view(across + 512, 15) == "sector 00000101");
    story::is("nvme/by interrupts", (*controller)->interrupts() >= 7);
    story::succeeds("nvme/stop", (*controller)->stop());
}

void network(e1000e::Wait wait) {
    const auto device = pci::find_id(0x8086, 0x10d3);
    if (!device) story::error("no e1000e");
    story::show("e1000e/pci_device_add", pci::announce(*device));
    const auto started = e1000e::Card::start(*device, wait);
    if (!started) {
        story::equal("e1000e/start", -static_cast<i64>(started.error()), 0);
        return;
    }
    e1000e::Card& card = **started;
    const ether::Host me{card.mac(), {10, 0, 2, 15}};
    ether::Host gateway{{}, {10, 0, 2, 2}};
    text::FixedText<20> mac;
    for (const u8 byte : me.mac) text::format(mac, "{:02x}", byte);
    story::show_text("e1000e/mac", mac.view());
    static u8 frame[2048], answer[2048];
    const Nanos until = time::now() + 20'000'000'000;
    usize n = ether::make_arp_request(frame, me, gateway.ip);
    story::succeeds("e1000e/arp request sent", card.send({frame, n}));
    bool replied = false, asked = false, pong = false;
    while (time::now() < until && !replied) {
        n = card.receive(frame, until);
        replied = n != 0 && ether::classify({frame, n}, me) == ether::Kind::arp_reply_to_us;
    }
    story::is("e1000e/arp reply", replied);
    if (replied) std::memcpy(gateway.mac.data(), frame + 22, 6);
    // As another host that the gateway does not know: it has to ask before it can answer the ping.
    const ether::Host other{me.mac, {10, 0, 2, 77}};
    n = ether::make_ping(frame, other, gateway, 5, 1);
    story::succeeds("e1000e/ping sent", card.send({frame, n}));
    while (time::now() < until && !pong) {
        n = card.receive(frame, until);
        if (n == 0) break;
        const ether::Kind kind = ether::classify({frame, n}, other);
        pong = kind == ether::Kind::pong_to_us;
        if (kind == ether::Kind::arp_request_for_us) asked = true;
        const usize m = ether::make_answer({frame, n}, other, answer);
        if (m != 0 && !card.send({answer, m})) story::error("no sending");
    }
    story::is("e1000e/asked by arp and answered", asked);
    story::is("e1000e/pong", pong);
    story::is("e1000e/by interrupts", card.interrupts() >= 1);
    story::remark("e1000e: {} interrupts", card.interrupts());
    card.stop();
}

// A device whose line stays raised because nobody acknowledges: the kit masks it and lives on.
void storm() {
    constexpr u32 reg_raise = 0x60, reg_acknowledge = 0x64;
    const auto device = pci::find_id(0x1234, 0x11e8);
    if (!device) story::error("no edu device");
    pci::enable(*device);
    const auto mapped = map_machine(Maddr(pci::bar(*device, 0)), page_size);
    if (!mapped) story::error("no memory for the edu device's registers");
    auto* const registers = static_cast<volatile u8*>(*mapped);
    const auto reg = [=](u32 at) { return reinterpret_cast<volatile u32*>(registers + at); };
    static volatile u32 taken;
    interrupts::set_storm_limit(200);
    const auto irq = interrupts::connect_intx(*device, [](void*) { taken = taken + 1; }, nullptr);
    story::is("storm/connect", irq.has_value());
    *reg(reg_raise) = 1;
    const Nanos until = time::now() + 20'000'000'000;
    while (interrupts::storms() == 0 && time::now() < until) time::sleep(1'000'000);
    story::equal("storm/noticed", interrupts::storms(), 1);
    story::equal("storm/taken until then", taken, 200);
    const u32 before = taken;
    time::sleep(20'000'000);
    story::equal("storm/silent then", taken - before, 0);
    *reg(reg_acknowledge) = 1;
    story::succeeds("storm/disconnect", interrupts::disconnect(*irq));
}

}  // namespace

void kit::guest_main() {
    events::start();
    time::start();
    unmask_events();
    if (!pci::start()) story::error("no access to ports");
    const bool messages = option("interrupts") == "msix";
    firmware();
    memory_for_devices();
    disk(messages ? nvme::Wait::msix : nvme::Wait::intx);
    network(messages ? e1000e::Wait::msix : e1000e::Wait::intx);
    if (!messages) storm();
    mask_events();
    story::end();
}
