// SPDX-License-Identifier: MIT
#include "arch/host/pv.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arch/host/memory.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/context.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "arch/x86/pv/page_check.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/domain/destroy.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/table.hpp"
#include "core/grant/table.hpp"
#include "core/irq/pirq_table.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::host {
namespace {

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::abort();
}

class StringSink final : public text::Sink {
   public:
    void write(std::string_view s) override { text.append(s); }
    std::string text;
};

}  // namespace

PvWorld::PvWorld(u32 cpus) {
    start_memory();
    reset_mmu();
    machine = Machine{};
    machine.cpus = cpus;
    environment = {};
    environment.features.host_cr4 = x86::cr4::pae | x86::cr4::pge | x86::cr4::osfxsr;
    environment.features.guest_cr4_bits = x86::cr4::tsd | x86::cr4::de;
    simulation = {};
    idle_ = std::make_unique<Domain>(domid_idle);
    for (u32 i = 0; i < cpus; ++i) {
        idle_vcpus_.push_back(std::make_unique<Vcpu>(*idle_, VcpuId(i)));
        machine.cpu = CpuId(i);
        registers() = {};
        registers().cr4 = environment.features.host_cr4;
        machine.current[i] = idle_vcpus_.back().get();
        sched::init_cpu(CpuId(i), *idle_vcpus_.back());
        PerCpu& cpu = per_cpu(CpuId(i));
        cpu.gdt_page = static_cast<u64*>(heap_allocate(page_size));
        cpu.gdt_page_mfn = mfn_of(layout::maddr_of_direct(cpu.gdt_page)).raw;
    }
    machine.cpu = CpuId(0);
}

PvWorld::~PvWorld() {
    for (u32 i = 0; i < machine.cpus; ++i) idle(i);
    machine.cpu = CpuId(0);
    for_each_domain([](Domain& d) {
        const ControlLock lock(d);
        destroy_domain(d);
    });
    if (next_domain(DomId(0))) stop("references to a dead domain are left");
    for (u64 i = first_free_frame; i < layout::frame_count(); ++i) {
        const PageState s = find_page(Mfn(i))->load();
        if (!s.has(PageState::free_bit) && s.references() != 0)
            stop("frame " + std::to_string(i) + " is left when all domains are dead: " + std::to_string(s.references()) +
                 " references, " + std::to_string(s.type_uses()) + " uses");
    }
    for (u32 i = 0; i < machine.cpus; ++i) {
        heap_release(per_cpu(CpuId(i)).gdt_page, page_size);
        machine.current[i] = nullptr;
    }
    machine.cpus = 1;
}

PvGuest& PvWorld::add_guest(u32 vcpus, u32 pages) {
    DomainSettings settings;
    settings.max_vcpus = vcpus;
    settings.max_pages = pages + 16;
    settings.grants.max_maptrack_frames = 2;
    settings.grants.max_frames = 2;
    settings.is_hardware_domain = settings.is_control_domain = guests.empty();
    const Result<Domain*> made = create_domain(DomId(static_cast<u16>(guests.size())), settings);
    if (!made) stop("no domain");
    guests.push_back(std::make_unique<PvGuest>());
    PvGuest& g = *guests.back();
    g.domain = *made;
    for (u32 i = 0; i < pages; ++i) {
        const Result<Mfn> mfn = allocate_domain_pages(*g.domain, 0);
        if (!mfn) stop("no memory");
        g.frames.push_back(*mfn);
        std::memset(g.words(i), 0, page_size);
        port::set_m2p(*mfn, i);
    }
    constexpr u64 table = pv::bits::present | pv::bits::writable | pv::bits::user;
    g.words(PvGuest::l4)[0] = g.entry(PvGuest::l3, table);
    g.words(PvGuest::l3)[PvGuest::base >> 30] = g.entry(PvGuest::l2, table);
    g.words(PvGuest::l2)[0] = g.entry(PvGuest::l1, table);
    for (u32 i = 0; i < pages; ++i)
        g.words(PvGuest::l1)[i] = g.entry(i, pv::bits::present | pv::bits::user | (i > PvGuest::l1 ? pv::bits::writable : 0));
    for (u32 i = 0; i < vcpus; ++i) {
        Vcpu& v = *g.domain->vcpus[i];
        run(g, i);
        if (!pv::set_kernel_root(*v.arch, g.frames[PvGuest::l4])) stop("no root");
        v.arch->kernel_sp = PvGuest::va(PvGuest::stacks + i) + page_size;
        v.arch->guest.rsp = v.arch->kernel_sp;
        v.arch->guest.cs = GUEST_CS64;
        v.arch->guest.ss = GUEST_DS;
        v.setup = Setup::done;
    }
    return g;
}

void PvWorld::run(PvGuest& g, u32 vcpu, u32 cpu) {
    machine.cpu = CpuId(cpu);
    Vcpu& v = *g.domain->vcpus[vcpu];
    for (Vcpu*& other : machine.current)
        if (other == &v) other = idle_vcpus_[static_cast<u64>(&other - machine.current)].get();
    machine.current[cpu] = &v;
    ArchVcpu& a = current_arch();
    load_root(a, a.kernel_mode != 0 ? a.kernel_root : a.user_root);
    pv::load_descriptor_tables(a);
}

u8* PvGuest::grant_table() const {
    u64 mfn = 0;
    if (!domain->grants->list_frames(0, std::span(&mfn, 1), false)) stop("no grant table");
    return static_cast<u8*>(layout::direct_map(maddr_of(Mfn(mfn))));
}

void PvWorld::idle(u32 cpu) {
    machine.cpu = CpuId(cpu);
    machine.current[cpu] = idle_vcpus_[cpu].get();
    load_root(current_arch(), 0);
}

long PvWorld::call(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e) {
    Frame& f = current_arch().guest;
    f.entry_vector = frame_by_syscall;
    const u64 called_at = f.rip;
    const long result = pv::hypercall_entries[number](a, b, c, d, e, 0);
    // What the short way out of a hypercall relies on (entry.S, hypercall_return): sysret must not fault.
    const Frame& after = current_arch().guest;
    if (after.entry_vector == frame_by_syscall && after.rip != called_at &&
        (!layout::is_canonical(after.rip) || after.cs != GUEST_CS64))
        stop("hypercall " + std::to_string(number) + " would return by sysret to " + std::to_string(after.rip));
    return result;
}

u64 PvWorld::put(PvGuest& g, const void* data, u64 bytes, u64 offset) {
    std::memcpy(reinterpret_cast<u8*>(g.words(PvGuest::arguments)) + offset, data, bytes);
    return PvGuest::va(PvGuest::arguments) + offset;
}

std::string PvWorld::check() {
    StringSink sink;
    if (!pv::page_check(sink)) return sink.text;
    return check_tlbs();
}

}  // namespace xylem::host
