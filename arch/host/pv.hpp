// SPDX-License-Identifier: MIT
// PV domains on the simulated machine: real domains, real page tables, hypercalls through the real table.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arch/host/cpus.hpp"
#include "arch/host/mmu.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/domain/create.hpp"

namespace xylem::host {

// A domain with page tables of its own: frame i is mapped at va(i), read-only where it is a table.
// Frames 0..3 are L4, L3, L2, L1; L4 is pinned and every vCPU's root; 4 is the argument page, 5 and up the vCPUs' stacks.
struct PvGuest {
    Domain* domain = nullptr;
    std::vector<Mfn> frames;
    static constexpr u64 base = 0x1'0000'0000;
    static constexpr u32 l4 = 0, l3 = 1, l2 = 2, l1 = 3, arguments = 4, stacks = 5;
    static u64 va(u32 frame) { return base + frame * page_size; }
    u64* words(u32 frame) const { return static_cast<u64*>(layout::direct_map(maddr_of(frames[frame]))); }
    u64 entry(u32 frame, u64 flags) const { return maddr_of(frames[frame]).raw | flags; }
    // The first frame of the grant table it shares with the hypervisor, as its kernel would have it mapped.
    u8* grant_table() const;
    Maddr slot(u32 table, u32 index) const { return Maddr(maddr_of(frames[table]).raw + index * 8); }
};

class PvWorld {
   public:
    explicit PvWorld(u32 cpus = 1);
    ~PvWorld();  // takes everything down and aborts where a frame is left over
    PvWorld(const PvWorld&) = delete;

    // Domain 0 is the control and hardware domain.
    PvGuest& add_guest(u32 vcpus = 1, u32 pages = 24);
    // The vCPU comes onto the CPU, as a context switch would put it there.
    void run(PvGuest& g, u32 vcpu = 0, u32 cpu = 0);
    // Nobody's vCPU is on the CPU any more.
    void idle(u32 cpu);
    // The running vCPU calls.
    long call(u64 number, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0);
    // Arguments go to the argument page at `offset`; returns their address.
    u64 put(PvGuest& g, const void* data, u64 bytes, u64 offset = 0);
    template <class T>
    u64 put(PvGuest& g, const T& value, u64 offset = 0) {
        return put(g, &value, sizeof value, offset);
    }
    // "" when the page check and the TLBs are well.
    std::string check();

    std::vector<std::unique_ptr<PvGuest>> guests;

   private:
    std::unique_ptr<Domain> idle_;
    std::vector<std::unique_ptr<Vcpu>> idle_vcpus_;
};

}  // namespace xylem::host
