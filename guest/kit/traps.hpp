// SPDX-License-Identifier: MIT
// Exceptions: who handles them, how code survives one on purpose, and the report when nobody does.
#pragma once

#include <optional>
#include <type_traits>

#include "guest/kit/cpu.hpp"

extern "C" int kit_try(void (*what)(void*), void* argument, xylem::kit::Recovery* recovery);

namespace xylem::kit {

// True: handled, the interrupted code goes on with the frame as the handler left it.
using TrapHandler = bool (*)(Frame& frame);
void set_trap_handler(u32 vector, TrapHandler handler);

// The table and the callbacks of the vCPU this runs on.
void install_traps();
const trap_info_t* trap_table();  // ends with an empty entry
u64 stub_of(u32 vector);

// What the kit does with an event upcall; guest/kit/events.hpp sets it.
void set_upcall(void (*upcall)(Cpu&));

// Runs `what`; the first trap ends it and is the answer.
template <class What>
std::optional<Trap> attempt(What&& what) {
    Cpu& cpu = this_cpu();
    Recovery recovery{.rsp = 0, .trap = {}, .previous = cpu.recovery, .user = false};
    cpu.recovery = &recovery;
    const auto call = [](void* p) { (*static_cast<std::remove_reference_t<What>*>(p))(); };
    const int trapped = kit_try(call, &what, &recovery);
    cpu.recovery = recovery.previous;
    return trapped != 0 ? std::optional(recovery.trap) : std::nullopt;
}

// Enters user mode with these registers and returns with those of its next trap or system call, which are also left in `frame`.
// Events meanwhile are taken and user mode goes on.
Trap run_user(Frame& frame);
Frame user_frame(u64 rip, u64 rsp);

// Registers and stack, for people.
void report(const Frame& frame, std::string_view what);

}  // namespace xylem::kit
