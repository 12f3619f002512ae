// SPDX-License-Identifier: MIT
// What each vCPU has of its own, and the event mask: a PV kernel's cli and sti.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "guest/kit/frame.hpp"

namespace xylem::kit {

inline constexpr unsigned max_vcpus = 32;  // as many as shared_info has room for

// What happened: the registers, and for page faults the address.
struct Trap {
    Frame frame;
    u64 cr2;
};

// A place to go on after a trap (guest/kit/traps.hpp, attempt).
struct Recovery {
    u64 rsp;
    Trap trap;
    Recovery* previous;
    bool user;  // waits for what user mode does next
};

struct Cpu {
    Cpu* self;
    u32 id;
    vcpu_info_t* info;
    Recovery* recovery;
    u64 stack_top;       // of its own code
    u64 user_stack_top;  // where entries from user mode land
    u64 events;          // upcalls taken
    void (*start)(void*);
    void* argument;
    std::atomic<bool> running;
};

inline Cpu& this_cpu() {
    Cpu* cpu;
    asm("mov %%gs:0, %0" : "=r"(cpu));
    return *cpu;
}
Cpu& cpu_of(unsigned id);
void set_up_cpu(Cpu& cpu);  // for the vCPU it runs on: its gs base, its stack for entries from user mode

shared_info_t& shared();

inline void compiler_barrier() {
    asm volatile("" ::: "memory");
}
inline void relax() {
    asm volatile("pause" ::: "memory");
}
inline u64 tsc() {
    u32 low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return u64{high} << 32 | low;
}

inline bool events_masked() {
    return *const_cast<volatile u8*>(&this_cpu().info->evtchn_upcall_mask) != 0;
}
inline void mask_events() {
    *const_cast<volatile u8*>(&this_cpu().info->evtchn_upcall_mask) = 1;
    compiler_barrier();
}
// An event that came while they were masked is delivered before this returns: any hypercall's way back does it. One that comes
// between the store and the look is delivered by itself.
void unmask_events();

// Masked for a scope; scopes nest.
class EventsMasked {
   public:
    EventsMasked() : were_masked_(events_masked()) { mask_events(); }
    ~EventsMasked() {
        if (!were_masked_) unmask_events();
    }
    EventsMasked(const EventsMasked&) = delete;
    EventsMasked& operator=(const EventsMasked&) = delete;

   private:
    bool were_masked_;
};

// Sleeps until an event comes; opens the mask in the same step, so that none is slept through.
void block();
void yield();

enum class Shutdown : unsigned {
    power_off = SHUTDOWN_poweroff,
    reboot = SHUTDOWN_reboot,
    suspend = SHUTDOWN_suspend,
    crash = SHUTDOWN_crash,
};
[[noreturn]] void shut_down(Shutdown reason);

}  // namespace xylem::kit
