// SPDX-License-Identifier: MIT
// An NVMe controller, one queue pair, one command at a time [NVM Express 1.4]: enough to read and write sectors by interrupt.
#pragma once

#include "base/result.hpp"
#include "guest/lib/dma.hpp"
#include "guest/lib/pci.hpp"

namespace xylem::nvme {

enum class Wait : u8 { intx, msix };

class Controller {
   public:
    static Result<Controller*> start(const pci::Device& device, Wait wait);

    // `sectors` of 512 bytes into memory that lies anywhere; at most the bounce buffer's size.
    Result<> read(u64 first, u32 sectors, void* to);
    u64 interrupts() const { return interrupts_; }
    u64 size_in_sectors() const { return sectors_; }
    dma::Bounce& bounce() { return *bounce_; }
    Result<> stop();

   private:
    struct Command;
    struct Queue {
        dma::Buffer submissions, completions;
        u32 tail = 0, head = 0;
        u32 phase = 1;
        u32 id = 0;
    };
    static void on_interrupt(void* self);
    u32 get(u32 reg) const;
    void put(u32 reg, u32 value);
    Result<> wait_ready(bool ready);
    Result<> set_up_queues();
    Result<> submit(Queue& q, Command& c);
    void ring(u32 queue, bool completion, u32 value);

    volatile u8* registers_ = nullptr;
    u32 doorbell_step_ = 4;
    Queue admin_, io_;
    std::optional<dma::Bounce> bounce_;
    u64 sectors_ = 0;
    u64 interrupts_ = 0;
    u32 irq_ = 0;
    Wait wait_ = Wait::intx;
};

}  // namespace xylem::nvme
