// SPDX-License-Identifier: MIT
// Hostile PV domains on simulated CPUs: MMU and CPU hypercalls, stores to page tables, mode switches, grants, event channels,
// frames that come and go; several CPUs at once, interleaved as the input says. After every step the page check and the TLB
// oracle must be content.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arch/host/memory.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/segments.hpp"
#include "arch/x86/pv/traps.hpp"
#include "core/domain/destroy.hpp"
#include "core/port/guest_map.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/pv_calls.hpp"
#include "tests/fuzz/pv_sharing.hpp"

namespace xylem::host {
namespace {

using fuzz::Input;

constexpr u32 cpus = Board::cpus, domains = Board::domains, vcpus = Board::vcpus, pages = Board::pages;

class Game {
   public:
    explicit Game(Input in) : in_(in) {
        for (u32 i = 0; i < domains; ++i) world_.add_guest(vcpus, pages);
        for (auto& g : world_.guests) {
            // A second address space, and code that stores: mov %rax,(%rdi).
            std::memcpy(reinterpret_cast<u8*>(g->words(PvGuest::arguments)) + 0x800, "\x48\x89\x07", 3);
            for (u32 v = 0; v < vcpus; ++v) {
                ArchVcpu& a = *g->domain->vcpus[v]->arch;
                for (unsigned t = 0; t < 32; ++t) a.traps[t] = {PvGuest::va(PvGuest::arguments) + 0x900, 0xe033, 0};
            }
        }
        for (u32 c = 0; c < cpus; ++c) world_.run(*world_.guests[c / 2 % domains], c % 2, c);
        machine.cpu = CpuId(0);
        sharing_.prepare();
    }

    void play() {
        interleave_at_function_entries(4, in_.word());
        for (u32 n = 0; n < 60 && !in_.done(); ++n) {
            const u8 shape = in_.byte();
            if (shape == 0xef) break;
            if (shape >= 0xf0) {
                switch_context(shape & 3, in_.byte());
            } else {
                std::vector<std::function<void()>> tasks(cpus);
                const u32 mask = shape % 7 + 1;
                for (u32 c = 0; c < cpus; ++c) {
                    if ((mask >> c & 1) == 0) continue;
                    const Step s{in_.byte(), in_.byte(), in_.byte(), in_.byte(), in_.byte()};
                    if (std::getenv("PV_FUZZ_TRACE") != nullptr)
                        std::fprintf(stderr, "cpu %u: %u %u %u %u %u\n", c, s.kind % kinds, s.a, s.b, s.c, s.d);
                    tasks[c] = [this, s] { act(s); };
                }
                run_at_once(std::move(tasks), [this](u32 count) { return in_.done() ? next_++ % count : in_.byte() % count; });
            }
            if (const std::string wrong = world_.check() + sharing_.check(); !wrong.empty()) {
                std::fprintf(stderr, "after step %u: %s\n", n, wrong.c_str());
                std::abort();
            }
        }
        if (!in_.done()) destroy_the_other();
        interleave_at_function_entries(0, 1);
    }

   private:
    // In the end domain 0's first vCPU destroys domain 1, while its second goes on dealing with it.
    void destroy_the_other() {
        for (u32 c = 0; c < cpus; ++c) world_.idle(c);
        for (u32 c = 0; c < 2; ++c) world_.run(*world_.guests[0], c, c);
        machine.cpu = CpuId(0);
        Domain& dying = *world_.guests[1]->domain;
        const DomainRef keep = DomainRef::share(dying);  // for ourselves, who look at it
        run_at_once({[&] {
                         const ControlLock lock(dying);
                         destroy_domain(dying);
                     },
                     [&] {
                         for (u32 n = 0; n < 40 && !in_.done(); ++n)
                             act({in_.byte(), in_.byte(), in_.byte(), in_.byte(), in_.byte()});
                     }},
                    [this](u32 count) { return in_.done() ? next_++ % count : in_.byte() % count; });
        machine.cpu = CpuId(0);
        if (const std::string wrong = world_.check() + sharing_.check(); !wrong.empty()) {
            std::fprintf(stderr, "after the destruction: %s\n", wrong.c_str());
            std::abort();
        }
    }

    PvGuest& mine() { return board_.mine(); }
    Mfn frame(u8 pick) { return board_.frame(pick); }
    u64 entry(u8 pick, u8 flags) { return board_.entry(pick, flags); }
    static u32 index(u8 pick) { return pick < 192 ? pick % (pages + 2) : pick < 224 ? 256 + pick % 17 : pick < 240 ? 4 : 511; }

    void store(u8 page, u8 at, u64 value) {
        ArchVcpu& v = current_arch();
        const u64 va = PvGuest::va(page % pages) + index(at) * 8;
        const AccessResult r = guest_store(va, &value, sizeof value);
        if (r.ok) return;
        v.guest.rip = PvGuest::va(PvGuest::arguments) + 0x800;
        v.guest.rdi = va;
        v.guest.rax = value;
        v.guest.error_code = r.error_code;
        v.guest.rsp = v.kernel_sp;
        pv::handle_exception(v, x86::vector::page_fault, r.address);
    }

    void mmuext(const Step& s) {
        constexpr u32 commands[] = {0, 1, 2, 3, 4, 4, 5, 5, 15, 15, 6, 10, 11, 7, 16, 17};
        mmuext_op op{};
        op.cmd = commands[s.a & 15];
        op.arg1.mfn = frame(s.b).raw;
        op.arg2.src_mfn = frame(s.c).raw;
        if (op.cmd == MMUEXT_INVLPG_LOCAL || op.cmd == MMUEXT_INVLPG_ALL) op.arg1.linear_addr = PvGuest::va(s.b % pages);
        if (op.cmd == MMUEXT_NEW_USER_BASEPTR && s.d < 32) op.arg1.mfn = 0;
        board_.with_arguments(op, [&](u64 at) { return world_.call(__HYPERVISOR_mmuext_op, at, 1, 0, board_.subject(s.d)); });
    }
    void mmu(const Step& s) {
        mmu_update u{};
        u.ptr = maddr_of(frame(s.a)).raw + index(s.b) * 8 + (s.kind & 64 ? s.d & 3 : 0);
        u.val = entry(s.c, s.d);
        const u64 foreign = s.kind & 128 ? world_.guests[s.kind >> 5 & 1]->domain->id.raw : u64{DOMID_SELF};
        const u64 tables = s.a >= 225 && s.a < 250 ? board_.other().domain->id.raw + u64{1} : 0;
        board_.with_arguments(u, [&](u64 at) { return world_.call(__HYPERVISOR_mmu_update, at, 1, 0, tables << 16 | foreign); });
    }
    void gdt(const Step& s) {
        const std::array<u64, 2> list{frame(s.a).raw, frame(s.b).raw};
        board_.with_arguments(list, [&](u64 at) { return world_.call(__HYPERVISOR_set_gdt, at, (s.c & 3) * 512u); });
    }
    void exchange_frame(const Step& s) {
        PvGuest& g = mine();
        const u32 i = 6 + s.a % (pages - 6);
        if (!release_domain_page(*g.domain, *find_page(g.frames[i]))) return;
        if (const Result<Mfn> fresh = allocate_domain_pages(*g.domain, 0)) g.frames[i] = *fresh;
    }
    void map_foreign(const Step& s) {
        Vcpu& v = *current_arch().vcpu;
        PvGuest& other = *world_.guests[(v.domain.id.raw + 1) % domains];
        PageInfo& page = *find_page(other.frames[s.a % pages]);
        const bool readonly = (s.b & 1) != 0;
        if (!(readonly ? get_reference(page, other.domain->id) : get_writable(page, other.domain->id))) return;
        if (!port::map_grant_at(v, PvGuest::va(s.c % pages), false, mfn_of(page), {.readonly = readonly}))
            readonly ? put_reference(page) : put_writable(page);
    }
    void unmap_foreign(const Step& s) {
        Vcpu& v = *current_arch().vcpu;
        PvGuest& other = *world_.guests[(v.domain.id.raw + 1) % domains];
        PageInfo& page = *find_page(other.frames[s.a % pages]);
        const bool readonly = (s.b & 1) != 0;
        if (!port::unmap_grant_at(v, PvGuest::va(s.c % pages), mfn_of(page), false, readonly)) return;
        port::flush_domain_tlbs(v.domain);
        readonly ? put_reference(page) : put_writable(page);
    }
    void to_user_and_back(const Step& s) {
        ArchVcpu& v = current_arch();
        v.guest.rsp = PvGuest::va(s.a % pages) + 0x400;
        if (v.kernel_mode == 0) return pv::inject_page_fault(v, 0x1234, 4);
        constexpr u64 words[] = {0, 0x100, 0xe033, 0xe030, 0x23, 0x1234, 0x8000'0000'0000'0000, 0x7fff'ffff'ffff, ~u64{0}, 0x246};
        v.guest.rsp = PvGuest::va(PvGuest::stacks) + 0x400;
        u64 picks = u64{s.b} << 16 | u64{s.c} << 8 | s.d;
        for (u64 i = 3; i < 9; ++i, picks /= std::size(words))
            (void)guest_store(v.guest.rsp + i * 8, &words[picks % std::size(words)], 8);
        world_.call(__HYPERVISOR_iret);
        if (v.kernel_mode != 0 && (s.b & 1) != 0 && v.user_root != 0) pv::enter_user_mode(v);
    }

    void act(const Step& s) {
        ArchVcpu& v = current_arch();
        u64 word = 0;
        switch (s.kind % kinds) {
            case 0:
            case 1: return mmu(s);
            case 2:
            case 3: return mmuext(s);
            case 4:
                if (v.kernel_mode != 0)
                    (void)world_.call(__HYPERVISOR_update_va_mapping, PvGuest::va(s.a % pages), entry(s.b, s.c),
                                      s.d % 5 == 4   ? u64{UVMF_INVLPG | UVMF_ALL}
                                      : s.d % 5 == 3 ? u64{UVMF_TLB_FLUSH | UVMF_ALL}
                                                     : s.d % 5);
                return;
            case 5:
            case 6: return store(s.a, s.b, entry(s.c, s.d));
            case 7:
            case 8: (void)guest_load(PvGuest::va(s.a % pages), &word, 8); return;
            case 9: (void)guest_store(PvGuest::va(s.a % pages) + 0xf00, &word, 8); return;
            case 10: return gdt(s);
            case 11:
                (void)world_.call(__HYPERVISOR_update_descriptor, maddr_of(frame(s.a)).raw + index(s.b) * 8,
                                  u64{s.c} << 40 | u64{s.d} << 48);
                return;
            case 12:
                (void)pv::set_ldt(v, PvGuest::va(s.a % pages), s.b * 40u);
                (void)pv::fault_in_ldt(v, pv::ldt_window(v.vcpu->id) + (s.c & 3) * page_size);
                return;
            case 13: return exchange_frame(s);
            case 14: return map_foreign(s);
            case 15: return unmap_foreign(s);
            case 16: return to_user_and_back(s);
            case 17: return both(s);
            case 18: return calls_.any(s);
            case 19: return calls_.several(s);
            default: return sharing_.act(s.kind % kinds - own_kinds, s);
        }
    }
    // Pins a table the guest writes by itself first: contents from one byte.
    void both(const Step& s) {
        const u32 page = 8 + s.a % 8;
        store(static_cast<u8>(page), s.b, entry(s.c, s.d));
        mmuext({0, static_cast<u8>(s.kind >> 5 & 3), static_cast<u8>(page), 0, 0});
    }

    void switch_context(u32 cpu, u8 to) {
        cpu %= cpus;
        PvGuest& g = *world_.guests[to % domains];
        const u32 v = to / 2 % vcpus;
        for (u32 c = 0; c < cpus; ++c)
            if (c != cpu && machine.current[c] == g.domain->vcpus[v]) return;
        world_.run(g, v, cpu);
        machine.cpu = CpuId(0);
    }

    static constexpr u32 own_kinds = 20, kinds = own_kinds + Sharing::moves;

    Input in_;
    Board board_;
    PvWorld& world_ = board_.world;
    Sharing sharing_{board_};
    Calls calls_{board_};
    u32 next_ = 0;
};

}  // namespace
}  // namespace xylem::host

extern "C" int LLVMFuzzerTestOneInput(const xylem::u8* data, size_t size) {
    xylem::host::start_memory(xylem::host::few_frames);
    xylem::host::Game game({data, data + size});
    game.play();
    return 0;
}
