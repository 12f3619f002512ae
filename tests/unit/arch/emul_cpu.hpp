// SPDX-License-Identifier: MIT
// Runs single instructions on the processor of the host, to compare the emulator with.
#pragma once

#include <span>

#include "arch/x86/cpu/frame.hpp"
#include "base/types.hpp"

namespace xylem::emul_test {

// How an instruction ended.
struct Trap {
    int signal = 0;      // 0: it was executed
    u64 vector = 0;      // of the processor: 6 #UD, 13 #GP, 14 #PF
    u64 address = 0;     // cr2 of a #PF
    u64 error_code = 0;  // of a #PF; bit 1 write, bit 4 fetch
    bool executed() const { return signal == 0; }
};

// A page for code, followed by an inaccessible page, and a data area; all below 2 GiB, so that 32-bit addresses and displacements
// reach them. There is one per process.
class Cpu {
   public:
    static constexpr u64 data_size = 8192;

    static Cpu& get();

    // Executes one instruction with all registers from `frame` (rip is ignored, of rflags only arithmetic flags and DF).
    // Afterwards `frame` holds what the processor left; rip is the address after the instruction if it was executed, else
    // unchanged.
    Trap run(std::span<const u8> instruction, Frame& frame);
    // The same with the instruction's bytes ending at an inaccessible page: what a cut-off fetch looks like.
    Trap run_at_page_end(std::span<const u8> instruction, Frame& frame);

    u64 code_address() const;           // where run() puts the instruction
    u64 page_end() const;               // first address after the code page
    u8* data() const { return data_; }  // data_size bytes
    u64 reserved_start() const;         // a large inaccessible area, for stores that must fault
    static constexpr u64 reserved_size = u64{1} << 36;
    u64 fs_base() const;
    void set_gs_base(u64 base) const;

   private:
    Cpu();
    Trap execute(u64 at, Frame& frame);

    u8* code_ = nullptr;
    u8* data_ = nullptr;
    u8* reserved_ = nullptr;
};

}  // namespace xylem::emul_test
