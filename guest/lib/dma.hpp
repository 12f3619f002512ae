// SPDX-License-Identifier: MIT
// Memory for devices, which count in machine addresses: neighbouring pages of ours need not be neighbours there.
#pragma once

#include <cstring>

#include "base/result.hpp"
#include "guest/kit/paging.hpp"

namespace xylem::dma {

// 2^order pages that are neighbours in the machine, below 2^address_bits: our own exchanged for others.
struct Buffer {
    u8* memory = nullptr;
    Maddr at{};
    u64 bytes = 0;
};
Result<Buffer> allocate(unsigned order, unsigned address_bits = 32);

// A transfer of memory that a device cannot reach as it lies: it goes through a buffer that the device can.
class Bounce {
   public:
    enum class Direction : u8 { to_device, from_device };
    static Result<Bounce> create(unsigned order, unsigned address_bits = 32);

    // True when a device could use this memory directly: contiguous, and low enough.
    static bool is_direct(const void* memory, u64 bytes, unsigned address_bits);
    Result<Maddr> begin(void* memory, u64 bytes, Direction direction);
    void finish();  // what a device wrote is copied to where it belongs

    u64 copies() const { return copies_; }

   private:
    explicit Bounce(const Buffer& buffer, unsigned bits) : buffer_(buffer), address_bits_(bits) {}

    Buffer buffer_;
    unsigned address_bits_;
    void* memory_ = nullptr;
    u64 bytes_ = 0, copies_ = 0;
    Direction direction_{};
    bool through_buffer_ = false;
};

}  // namespace xylem::dma
