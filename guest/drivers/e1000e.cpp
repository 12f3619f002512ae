// SPDX-License-Identifier: MIT
#include "guest/drivers/e1000e.hpp"

#include <algorithm>
#include <atomic>

#include "guest/lib/interrupts.hpp"
#include "guest/lib/time.hpp"

namespace xylem::e1000e {
namespace {

constexpr u32 reg_control = 0, reg_cause = 0xc0, reg_mask_set = 0xd0, reg_mask_clear = 0xd8, reg_vectors = 0xe4,
              reg_rx_control = 0x100, reg_tx_control = 0x400, reg_rx_ring = 0x2800, reg_tx_ring = 0x3800,
              reg_address_low = 0x5400, reg_address_high = 0x5404;
constexpr u32 ring_length = 8, ring_head = 0x10, ring_tail = 0x18;  // from a ring's base
constexpr u32 control_link_up = 1 << 6, control_reset = 1 << 26;
constexpr u32 rx_on = 1 << 1, rx_broadcast = 1 << 15, rx_strip_crc = 1 << 26, rx_promiscuous = 3 << 3;
constexpr u32 tx_on = 1 << 1, tx_pad = 1 << 3;
constexpr u32 cause_tx_done = 1, cause_link = 1 << 2, cause_rx = 1 << 7, cause_rx_queue = 1 << 20, cause_tx_queue = 1 << 22,
              cause_other = 1 << 24;
constexpr u16 command_end_crc_report = 0xb00;
constexpr u8 status_done = 1;
constexpr u64 register_bytes = 0x20000;
constexpr Nanos patience = 5'000'000'000;

}  // namespace

u32 Card::get(u32 reg) const {
    return *reinterpret_cast<const volatile u32*>(registers_ + reg);
}
void Card::put(u32 reg, u32 value) {
    *reinterpret_cast<volatile u32*>(registers_ + reg) = value;
}

void Card::on_interrupt(void* self) {
    auto& card = *static_cast<Card*>(self);
    const u32 cause = card.get(reg_cause);  // reading acknowledges
    if (cause != 0) card.put(reg_cause, cause);
    ++card.interrupts_;
}

void Card::set_up_ring(u32 base, const dma::Buffer& ring) {
    put(base, static_cast<u32>(ring.at.raw));
    put(base + 4, static_cast<u32>(ring.at.raw >> 32));
    put(base + ring_length, descriptors * sizeof(Descriptor));
    put(base + ring_head, 0);
    put(base + ring_tail, 0);
}

Result<Card*> Card::start(const pci::Device& device, Wait wait) {
    static Card only;
    Card& c = only;
    c = Card();
    pci::enable(device);
    c.registers_ = static_cast<volatile u8*>(TRY(kit::map_machine(Maddr(pci::bar(device, 0)), register_bytes)));
    c.put(reg_mask_clear, ~u32{0});
    c.put(reg_control, c.get(reg_control) | control_reset);
    time::sleep(10'000'000);
    c.put(reg_mask_clear, ~u32{0});
    const u32 low = c.get(reg_address_low), high = c.get(reg_address_high);
    for (unsigned i = 0; i < 6; ++i) c.mac_[i] = static_cast<u8>(i < 4 ? low >> (8 * i) : high >> (8 * (i - 4)));
    for (dma::Buffer* b : {&c.rx_ring_, &c.tx_ring_, &c.tx_buffer_}) *b = TRY(dma::allocate(0));
    c.rx_buffers_ = TRY(dma::allocate(3));
    for (u32 i = 0; i < descriptors; ++i) c.at(c.rx_ring_, i).address = c.rx_buffers_.at.raw + i * buffer_bytes;
    c.set_up_ring(reg_rx_ring, c.rx_ring_);
    c.set_up_ring(reg_tx_ring, c.tx_ring_);
    c.irq_ = TRY(wait == Wait::intx ? interrupts::connect_intx(device, on_interrupt, &c)
                                    : interrupts::connect_msix(device, 0, on_interrupt, &c));
    if (wait == Wait::msix) {
        c.put(reg_vectors, 0x8 | 0x8 << 8 | 0x8 << 16);  // receive, transmit and the rest by message 0
        c.put(reg_mask_set, cause_rx_queue | cause_tx_queue | cause_other | cause_rx | cause_tx_done | cause_link);
    } else {
        c.put(reg_mask_set, cause_rx | cause_tx_done | cause_link);
    }
    c.put(reg_control, c.get(reg_control) | control_link_up);
    c.put(reg_rx_control, rx_on | rx_broadcast | rx_strip_crc | rx_promiscuous);
    c.put(reg_tx_control, tx_on | tx_pad);
    c.put(reg_rx_ring + ring_tail, descriptors - 1);
    return &c;
}

Result<> Card::send(std::span<const u8> frame) {
    if (frame.size() > buffer_bytes) return fail(XEN_E2BIG);
    std::memcpy(tx_buffer_.memory, frame.data(), frame.size());
    volatile Descriptor& d = at(tx_ring_, tx_next_);
    d.address = tx_buffer_.at.raw;
    d.length = static_cast<u16>(frame.size());
    d.checksum_or_command = command_end_crc_report;
    d.status = 0;
    tx_next_ = (tx_next_ + 1) % descriptors;
    std::atomic_thread_fence(std::memory_order_release);
    put(reg_tx_ring + ring_tail, tx_next_);
    const Nanos end = time::now() + patience;
    while ((d.status & status_done) == 0) {
        if (time::now() > end) return fail(XEN_EIO);
        time::sleep(200'000);
    }
    return {};
}

usize Card::receive(std::span<u8> to, Nanos until) {
    volatile Descriptor& d = at(rx_ring_, rx_next_);
    while ((d.status & status_done) == 0) {
        if (time::now() > until) return 0;
        time::sleep(1'000'000);
    }
    const usize n = std::min<usize>({d.length, buffer_bytes, to.size()});
    std::memcpy(to.data(), rx_buffers_.memory + rx_next_ * buffer_bytes, n);
    d.status = 0;
    std::atomic_thread_fence(std::memory_order_release);
    put(reg_rx_ring + ring_tail, rx_next_);
    rx_next_ = (rx_next_ + 1) % descriptors;
    return n;
}

void Card::stop() {
    put(reg_mask_clear, ~u32{0});
    put(reg_rx_control, 0);
    put(reg_tx_control, 0);
    (void)interrupts::disconnect(irq_);
}

}  // namespace xylem::e1000e
