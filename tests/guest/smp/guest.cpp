// SPDX-License-Identifier: MIT
// Several vCPUs: start, stop and start again, events between them, flushes, and selectors that vanish while a vCPU is not
// running.
#include <atomic>

#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/segments.hpp"
#include "guest/kit/smp.hpp"
#include "guest/kit/start.hpp"
#include "guest/kit/traps.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

std::atomic<u32> counter;
std::atomic<bool> stop;
std::atomic<u32> ipis;

void wait_until(std::atomic<u32>& value, u32 wanted) {
    while (value < wanted) yield();
}

void starting() {
    story::equal("start/vCPUs", vcpu_count(), 2);
    story::equal("start/second is down", vcpu_op(VCPUOP_is_up, 1), 0);
    story::show("start/up before initialise", vcpu_op(VCPUOP_up, 1));
    const auto count = [](void*) { ++counter; };
    for (u32 round = 1; round <= 5; ++round) {
        if (!start_vcpu(1, count, nullptr)) story::error("the second vCPU does not start");
        wait_for_vcpu(1);
    }
    story::equal("start/five times", counter, 5);
    story::equal("start/down again", vcpu_op(VCPUOP_is_up, 1), 0);
    static vcpu_guest_context_t context;
    story::show("start/initialise again", vcpu_op(VCPUOP_initialise, 1, &context));
    story::show("start/vCPU 2", vcpu_op(VCPUOP_initialise, 2, &context));
    story::answers("start/kit's own check", start_vcpu(0, count, nullptr), XEN_EINVAL);
    static std::atomic<u32> seen;
    if (!start_vcpu(1, [](void* p) { *static_cast<std::atomic<u32>*>(p) = this_cpu().id + 100; }, &seen))
        story::error("no start");
    wait_for_vcpu(1);
    story::equal("start/it knows who it is", seen, 101);
}

void between_vcpus() {
    static std::atomic<u32> port_of_1;
    counter = 0;
    if (!start_vcpu(
            1,
            [](void*) {
                const auto port = events::bind_ipi(1, [](u32, void*) { ++ipis; });
                port_of_1 = port.value_or(0);
                unmask_events();
                while (!stop) yield();
                mask_events();
                events::close(port_of_1);
            },
            nullptr))
        story::error("no start");
    while (port_of_1 == 0) yield();
    for (u32 i = 1; i <= 100; ++i) {
        events::notify(port_of_1);
        wait_until(ipis, i);
    }
    story::equal("ipi/hundred arrive, one by one", ipis, 100);
    evtchn_bind_vcpu_t move{.port = port_of_1, .vcpu = 0};
    story::show("ipi/cannot move", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    stop = true;
    wait_for_vcpu(1);
    // An interdomain channel can.
    const auto one = events::offer(DomId(DOMID_SELF), [](u32, void*) { ipis = this_cpu().id + 1000; });
    const auto two = events::bind_interdomain(DomId(DOMID_SELF), *one, [](u32, void*) {});
    move = {.port = *one, .vcpu = 1};
    story::succeeds("move/to vCPU 1", event_channel_op(EVTCHNOP_bind_vcpu, &move));
    stop = false;
    ipis = 0;
    if (!start_vcpu(
            1,
            [](void*) {
                unmask_events();
                while (!stop) yield();
                mask_events();
            },
            nullptr))
        story::error("no start");
    events::notify(*two);
    wait_until(ipis, 1000);
    story::equal("move/arrives there", ipis, 1001);
    stop = true;
    wait_for_vcpu(1);
    // While its vCPU is down an event waits.
    ipis = 0;
    events::notify(*two);
    story::is("move/waits for a vCPU that is down", events::is_pending(*one) && ipis == 0);
    move.vcpu = 0;
    event_channel_op(EVTCHNOP_bind_vcpu, &move);
    unmask_events();
    events::notify(*two);
    mask_events();
    story::show("move/and back, taken", ipis);
    events::close(*one);
    events::close(*two);
}

// vCPU 1 reads through a mapping that vCPU 0 takes away: after the flush it must not get through any more.
void flushing() {
    static u64 va;
    static std::atomic<u32> state;
    va = reserve_window(1);
    void* const page = allocate_pages();
    if (!map(va, pte::make(frame_at(page), pte::data))) story::error("no window");
    stop = false;
    counter = 0;
    state = 0;
    if (!start_vcpu(
            1,
            [](void*) {
                while (!stop) {
                    const auto t = attempt([] { *reinterpret_cast<volatile u64*>(va) = 1; });
                    if (t) ++state;
                    ++counter;
                    if ((counter & 1023) == 0) yield();
                }
            },
            nullptr))
        story::error("no start");
    wait_until(counter, 100);
    story::equal("flush/no faults while mapped", state, 0);
    u64 both = 3;
    if (update_va_mapping(va, pte::make(frame_at(page), pte::read_only), UVMF_INVLPG | word(&both)) != 0)
        story::error("update_va_mapping");
    const u32 from = counter;
    wait_until(counter, from + 10);
    story::is("flush/invlpg by bitmap: faults at once", state >= 9);
    if (update_va_mapping(va, pte::make(frame_at(page), pte::data), UVMF_INVLPG | UVMF_ALL) != 0)
        story::error("update_va_mapping");
    stop = true;
    wait_for_vcpu(1);
    mmuext_op_t op{};
    op.cmd = MMUEXT_TLB_FLUSH_MULTI;
    set_xen_guest_handle_raw(op.arg2.vcpumask, &both);
    story::succeeds("flush/multi", call_mmuext(&op, 1));
    op.cmd = MMUEXT_INVLPG_MULTI;
    op.arg1.linear_addr = va;
    set_xen_guest_handle_raw(op.arg2.vcpumask, &both);
    story::succeeds("flush/invlpg multi", call_mmuext(&op, 1));
    story::succeeds("flush/invlpg all", ext_op(MMUEXT_INVLPG_ALL, va));
    story::succeeds("flush/unmap", unmap(va));
}

// vCPU 1 counts, and gives way each time, until `stop`.
void start_counting() {
    stop = false;
    counter = 0;
    if (!start_vcpu(
            1,
            [](void*) {
                while (!stop) {
                    ++counter;
                    yield();
                }
            },
            nullptr))
        story::error("no start");
}

// A selector's descriptor goes while the vCPU waits: reloading it leads to the failsafe callback [ABI 2.1].
void failsafe() {
    static std::atomic<u32> phase;
    static u16 selector;
    Gdt& gdt = Gdt::of_this_cpu();
    if (!gdt.install() || !gdt.set(20, descriptor::data())) story::error("no gdt");
    selector = 20 * 8 + 3;
    phase = 0;
    static bool loaded;
    loaded = !attempt([] { asm volatile("mov %0, %%es" ::"r"(static_cast<u32>(selector))); });
    story::is("failsafe/selector loads", loaded);
    // The other vCPU runs on the same CPU: our selectors are saved and loaded again.
    start_counting();
    static std::atomic<u32> failsafes;
    static u16 given[4];
    set_failsafe_handler([](Frame&, const u16* selectors) {
        ++failsafes;
        for (int i = 0; i < 4; ++i) given[i] = selectors[i];
    });
    story::succeeds("failsafe/descriptor away", gdt.set(20, 0));
    const u32 from = counter;
    time::sleep(20'000'000);
    while (counter < from + 3) yield();
    u16 es;
    asm volatile("mov %%es, %0" : "=r"(es));
    story::show("failsafe/callbacks", failsafes);
    story::show_hex("failsafe/es in its frame", given[1]);
    story::show_hex("failsafe/es afterwards", es);
    stop = true;
    wait_for_vcpu(1);
    set_failsafe_handler(nullptr);
}

void others_nmi() {
    static std::atomic<u32> nmis;
    nmis = 0;
    set_trap_handler(2, [](Frame&) {
        nmis = this_cpu().id + 50;
        return true;
    });
    start_counting();
    wait_until(counter, 1);
    story::succeeds("nmi/to vCPU 1", vcpu_op(VCPUOP_send_nmi, 1));
    wait_until(nmis, 1);
    story::equal("nmi/arrives there", nmis, 51);
    stop = true;
    wait_for_vcpu(1);
    set_trap_handler(2, nullptr);
}

}  // namespace

void kit::guest_main() {
    events::start();
    time::start();
    starting();
    between_vcpus();
    flushing();
    others_nmi();
    // Only where the vCPUs share one CPU is it certain that the selectors are loaded again.
    if (option("cpus") == "1") failsafe();
    story::end();
}
