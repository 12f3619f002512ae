// SPDX-License-Identifier: MIT
#include "core/domain/create.hpp"

#include <algorithm>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/context.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/grant/table.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/memory_op.hpp"
#include "core/port/machine.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {
namespace {

Result<> make_shared_info(Domain& d) {
    d.shared_mfn = TRY(allocate_shared_frame(d));
    d.shared = static_cast<shared_info*>(port::frame_address(d.shared_mfn));
    for (vcpu_info& i : d.shared->vcpu_info) i.evtchn_upcall_mask = 1;
    publish_wall_clock(d);
    return {};
}

Result<> make_vcpu(Domain& d, VcpuId id) {
    OwnPtr<Vcpu> v = make_own<Vcpu>(d, id);
    if (!v) return fail(XEN_ENOMEM);
    TRY(make_pv_vcpu(*v));
    v->info = id.raw < XEN_LEGACY_MAX_VCPUS ? &d.shared->vcpu_info[id.raw] : &d.dummy_vcpu_info;
    sched::add(*v);
    init_vcpu_timers(*v);
    d.vcpus[id.raw] = v.release();
    return {};
}

Result<> make_tables(Domain& d, const DomainSettings& settings) {
    TRY(grant::create_table(d, settings.grants));
    TRY(evtchn::create_table(d, settings.max_channels));
    TRY(irq::create_table(d));
    return {};
}

Result<> make_parts(Domain& d, const DomainSettings& settings) {
    TRY(make_arch_domain(d));
    TRY(make_shared_info(d));
    TRY(make_tables(d, settings));
    for (u32 i = 0; i < settings.max_vcpus; ++i) TRY(make_vcpu(d, VcpuId(i)));
    return {};
}

void free_parts(Domain& d) {
    for (Vcpu*& v : d.vcpus) {
        if (v == nullptr) continue;
        sched::end(*v);
        sched::remove(*v);
        destroy_pv_vcpu(*v);
        OwnPtr<Vcpu>(std::exchange(v, nullptr)).reset();
    }
    evtchn::free_table(d);
    irq::free_table(d);
    grant::destroy_table(d);
    if (d.shared != nullptr) release_shared_frame(d.shared_mfn);
    release_memory_map(d);
    destroy_arch_domain(d);
}

}  // namespace

Result<Domain*> create_domain(DomId id, const DomainSettings& settings) {
    if (settings.max_vcpus == 0 || settings.max_vcpus > max_vcpus_per_domain) return fail(XEN_EINVAL);
    OwnPtr<Domain> d = make_own<Domain>(id);
    if (!d) return fail(XEN_ENOMEM);
    d->max_vcpus = settings.max_vcpus;
    d->max_pages = settings.max_pages;
    d->is_hardware_domain = settings.is_hardware_domain;
    if (d->is_hardware_domain) d->io.give_all();
    d->is_control_domain = settings.is_control_domain;
    d->dummy_vcpu_info.evtchn_upcall_mask = 1;
    std::copy_n(settings.handle, sizeof d->handle, d->handle);
    d->is_xenstore_domain = settings.is_xenstore_domain;
    if (settings.starts_paused) d->controller_pauses = 1;
    Result<> made = make_parts(*d, settings);
    if (made && settings.starts_paused) for_each_vcpu(*d, sched::pause);
    if (made) made = add_domain(*d);
    if (!made) {
        free_parts(*d);
        return fail(made.error());
    }
    return d.release();
}

void free_domain(Domain& d) {
    remove_domain(d);
    free_parts(d);
    OwnPtr<Domain>(&d).reset();
    send_global_virq(VIRQ_DOM_EXC);
}

}  // namespace xylem
