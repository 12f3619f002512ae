// SPDX-License-Identifier: MIT
#include "core/domain/create.hpp"

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/context.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/grant/table.hpp"
#include "core/irq/pirq.hpp"
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
    TRY(grant::create_table(d, {settings.max_grant_frames, settings.max_maptrack_frames, 2}));
    TRY(evtchn::create_table(d, settings.max_channels));
    TRY(irq::create_table(d));
    return {};
}

}  // namespace

Result<Domain*> create_domain(DomId id, const DomainSettings& settings) {
    if (settings.max_vcpus == 0 || settings.max_vcpus > max_vcpus_per_domain) return fail(XEN_EINVAL);
    OwnPtr<Domain> d = make_own<Domain>(id);
    if (!d) return fail(XEN_ENOMEM);
    d->max_vcpus = settings.max_vcpus;
    d->max_pages = settings.max_pages;
    d->is_hardware_domain = settings.is_hardware_domain;
    d->is_control_domain = settings.is_control_domain;
    d->dummy_vcpu_info.evtchn_upcall_mask = 1;
    TRY(make_arch_domain(*d));
    TRY(make_shared_info(*d));
    TRY(make_tables(*d, settings));
    for (u32 i = 0; i < settings.max_vcpus; ++i) TRY(make_vcpu(*d, VcpuId(i)));
    TRY(add_domain(*d));
    return d.release();
}

void free_domain(Domain& d) {
    remove_domain(d);
    destroy_arch_domain(d);
    OwnPtr<Domain>(&d).reset();
}

}  // namespace xylem
