// SPDX-License-Identifier: MIT
// Copies a kernel's segments to where they belong.
#pragma once

#include <concepts>
#include <cstring>

#include "init/dom0/image/elf.hpp"
#include "init/dom0/image/notes.hpp"

namespace xylem::image {

// Answers where the bytes [paddr, paddr + size) of the guest's pseudo-physical memory can be written now, as one contiguous
// range, or nullptr if it has no such memory.
template <class W>
concept SegmentWriter = requires(W& where, u64 paddr, u64 size) {
    { where(paddr, size) } -> std::same_as<u8*>;
};

// A writer for a kernel that lies in one piece: `memory` starts at pseudo-physical address `start`.
class ContiguousMemory {
   public:
    ContiguousMemory(std::span<u8> memory, u64 start) : memory_(memory), start_(start) {}
    u8* operator()(u64 paddr, u64 size) const {
        if (paddr < start_ || !range_fits(paddr - start_, size, memory_.size())) return nullptr;
        return memory_.data() + (paddr - start_);
    }

   private:
    std::span<u8> memory_;
    u64 start_;
};

// Writes every PT_LOAD of `elf` and zeroes what its file part does not fill. Bytes between segments are not touched: the memory
// must have been scrubbed before, or it shows the guest what was there. `kernel` must come from parse_pv_kernel(elf).
// Errors: no_memory (the writer refused).
template <SegmentWriter W>
ImageResult<> load_segments(const ElfImage& elf, const PvKernel& kernel, W&& where) {
    bool refused = false;
    elf.for_each_load([&](const Segment& s) {
        u8* const to = refused ? nullptr : where(s.paddr - kernel.paddr_offset, s.memsz);
        if (to == nullptr) {
            refused = true;
            return;
        }
        const auto from = elf.file_part(s);
        if (!from.empty()) __builtin_memcpy(to, from.data(), from.size());
        __builtin_memset(to + from.size(), 0, s.memsz - from.size());
    });
    if (refused) return image_fail(ImageFault::no_memory, "the domain's memory does not hold the kernel");
    return {};
}

}  // namespace xylem::image
