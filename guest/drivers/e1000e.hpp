// SPDX-License-Identifier: MIT
// Intel's 82574L network card [82574 datasheet]: one queue each way, legacy descriptors, interrupts by line or MSI-X.
#pragma once

#include <span>

#include "base/result.hpp"
#include "guest/lib/dma.hpp"
#include "guest/lib/ether.hpp"
#include "guest/lib/pci.hpp"

namespace xylem::e1000e {

enum class Wait : u8 { intx, msix };

class Card {
   public:
    static Result<Card*> start(const pci::Device& device, Wait wait);

    ether::Mac mac() const { return mac_; }
    Result<> send(std::span<const u8> frame);
    // The next frame that came, copied; 0 bytes when none did until the moment.
    usize receive(std::span<u8> to, Nanos until);
    u64 interrupts() const { return interrupts_; }
    void stop();

   private:
    static constexpr u32 descriptors = 16, buffer_bytes = 2048;
    struct Descriptor {
        u64 address;
        u16 length, checksum_or_command;
        u8 status, errors;
        u16 special;
    };
    static_assert(sizeof(Descriptor) == 16);
    static void on_interrupt(void* self);
    u32 get(u32 reg) const;
    void put(u32 reg, u32 value);
    void set_up_ring(u32 base, const dma::Buffer& ring);
    volatile Descriptor& at(const dma::Buffer& ring, u32 i) { return reinterpret_cast<volatile Descriptor*>(ring.memory)[i]; }

    volatile u8* registers_ = nullptr;
    dma::Buffer rx_ring_, tx_ring_, rx_buffers_, tx_buffer_;
    u32 rx_next_ = 0, tx_next_ = 0, irq_ = 0;
    u64 interrupts_ = 0;
    ether::Mac mac_{};
};

}  // namespace xylem::e1000e
