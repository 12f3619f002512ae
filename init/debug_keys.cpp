// SPDX-License-Identifier: MIT
#include "init/debug_keys.hpp"

#include "arch/x86/entry/flight_recorder.hpp"
#include "arch/x86/pv/page_check.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/console/console.hpp"
#include "core/console/keys.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/grant/table.hpp"
#include "core/irq/line.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/heap.hpp"
#include "core/port/machine.hpp"
#include "core/sched/scheduler.hpp"
#include "core/sched/timer.hpp"
#include "init/shutdown.hpp"

namespace xylem {
namespace {

// Splits what a dump writes into log lines.
class LogSink final : public text::Sink {
   public:
    void write(std::string_view s) override {
        for (char c : s) {
            if (c != '\n') {
                line_.write({&c, 1});
                continue;
            }
            log::info("{}", line_.view());
            line_.clear();
        }
    }

   private:
    text::FixedText<256> line_;
};

void dump_domains(char) {
    for_each_domain([](Domain& d) {
        log::info("d{}: {} pages of at most {}, {} vCPU(s){}", d.id, d.total_pages.load(), d.max_pages.load(), d.max_vcpus,
                  d.shut_down.load() ? ", shut down" : "");
        for (u32 i = 0; i < d.max_vcpus; ++i) {
            Vcpu& v = *d.vcpus[i];
            log::info("  v{}: CPU {}, state {}, upcall pending {} mask {}", i, v.sched.cpu, static_cast<u32>(v.sched.state),
                      u32{v.info->evtchn_upcall_pending}, u32{v.info->evtchn_upcall_mask});
        }
    });
}
void dump_memory(char) {
    log::info("memory: {} of {} pages free, hypervisor objects {} KiB", frames().free_frames(), frames().total_frames(),
              heap_bytes_used() / kib);
}
void dump_registers(char) {
    for_each_domain([](Domain& d) {
        for (u32 i = 0; i < d.max_vcpus; ++i) port::dump_guest_state(*d.vcpus[i]);
    });
}
void dump_run_queues(char) {
    LogSink out;
    sched::dump(out);
}
void dump_timers(char) {
    LogSink out;
    timers_dump(out);
}
// All vCPUs stand still while the frames are counted.
void check_pages(char) {
    for_each_domain([](Domain& d) {
        for (u32 i = 0; i < d.max_vcpus; ++i)
            if (d.vcpus[i] != &port::current() && !sched::pause_and_wait(*d.vcpus[i])) {
                log::warning("d{}v{} does not stop: what it does now may be miscounted", d.id, i);
                sched::pause(*d.vcpus[i]);
            }
    });
    LogSink out;
    pv::page_check(out);
    for_each_domain([](Domain& d) {
        for (u32 i = 0; i < d.max_vcpus; ++i)
            if (d.vcpus[i] != &port::current()) sched::unpause(*d.vcpus[i]);
    });
}
void dump_events(char) {
    LogSink out;
    for_each_domain([&out](Domain& d) { evtchn::dump(d, out); });
}
void dump_grants(char) {
    LogSink out;
    for_each_domain([&out](Domain& d) { grant::dump(d, out); });
}
void dump_interrupts(char) {
    LogSink out;
    irq::dump_lines(out);
    for_each_domain([&out](Domain& d) { irq::dump(d, out); });
}
void show_recorder(char) {
    recorder::show(log::Level::info, recorder::shown_by_key);
}
void show_last_run(char) {
    recorder::show_last_run(recorder::shown_by_key);
}
void reboot(char) {
    log::info("key 'R': rebooting the machine");
    reboot_machine();
}
void crash(char) {
    panic("key 'C' pressed: crash on purpose");
}

constexpr console::KeyHandler handlers[] = {
    {'q', "dump domains and vCPUs", false, dump_domains},
    {'m', "memory", false, dump_memory},
    {'d', "dump registers of all vCPUs", false, dump_registers},
    {'r', "dump run queues", false, dump_run_queues},
    {'a', "dump timers", false, dump_timers},
    {'e', "dump event channels", false, dump_events},
    {'g', "dump grant tables", false, dump_grants},
    {'i', "dump interrupts", false, dump_interrupts},
    {'T', "what each CPU did last", false, show_recorder},
    {'L', "what each CPU did last before the machine's last reset", false, show_last_run},
    {'C', "crash: print a report and stop or reboot", true, crash, true},
    {'P', "check the counts of all page frames", false, check_pages},
    {'R', "reboot the machine", true, reboot, true},
};
constexpr std::span<const console::KeyHandler> groups[] = {handlers};

constinit console::KeyTable keys;
constinit std::atomic<bool> keys_wait{false};

// Keys that take long run where a vCPU is about to enter its guest: it holds nothing, and may itself be paused for.
void run_soon() {
    keys_wait.store(true);
    port::cpu_work(CpuId(0)).flags.fetch_or(CpuWork::reschedule);
    port::send_event_check(CpuId(0));
}

}  // namespace

bool keys_are_waiting() {
    return keys_wait.load(std::memory_order_relaxed);
}

void run_waiting_keys() {
    if (keys_wait.exchange(false)) keys.run_pending();
}

void start_debug_keys() {
    keys.start(groups, run_soon);
    console::the_console().set_keys(&keys);
}

}  // namespace xylem
