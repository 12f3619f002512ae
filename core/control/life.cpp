// SPDX-License-Identifier: MIT
#include "core/control/life.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/domain/create.hpp"
#include "core/domain/domain_list.hpp"
#include "core/port/vcpu_state.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

constexpr u32 max_pauses = 255;

Result<> refuse(const char* why) {
    log::info("createdomain: {}", why);
    return fail(XEN_EINVAL);
}

Result<> check(const xen_domctl_createdomain& op) {
    constexpr u32 harmless = XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_xs_domain;
    if ((op.flags & XEN_DOMCTL_CDF_hvm) != 0) return refuse("HVM and PVH guests are not supported yet");
    if ((op.flags & XEN_DOMCTL_CDF_iommu) != 0) return refuse("there is no IOMMU for passthrough");
    if ((op.flags & ~harmless) != 0) return refuse("unknown or unsupported flags for a PV guest");
    if (op.iommu_opts != 0) return refuse("IOMMU options without an IOMMU");
    if (op.max_vcpus == 0 || op.max_vcpus > max_vcpus_per_domain) return refuse("too many vCPUs, or none");
    if (op.vmtrace_size != 0) return refuse("tracing with Processor Trace is not supported");
    if (op.arch.emulation_flags != 0 || op.arch.misc_flags != 0) return refuse("emulated devices are for HVM guests");
    const u32 version = XEN_DOMCTL_GRANT_version(op.grant_opts);
    if (version == 0 || version > 2 || (op.grant_opts & ~u32{XEN_DOMCTL_GRANT_version_mask}) != 0)
        return refuse("grant table versions are 1 and 2");
    return {};
}

// Frames of 4 KiB for tables, all made at creation or as guests grow them: a number that the machine could hold.
Result<u32> limit_or_default(i32 wanted, u32 standard) {
    constexpr i32 most = 1 << 16;
    if (wanted > most) return fail(XEN_EINVAL);
    return wanted < 0 ? standard : static_cast<u32>(wanted);
}

Result<DomainSettings> settings_from(const xen_domctl_createdomain& op) {
    const DomainSettings standard;
    DomainSettings s;
    s.max_vcpus = op.max_vcpus;
    s.grants.max_frames = TRY(limit_or_default(op.max_grant_frames, standard.grants.max_frames));
    s.grants.max_maptrack_frames = TRY(limit_or_default(op.max_maptrack_frames, standard.grants.max_maptrack_frames));
    s.grants.max_version = XEN_DOMCTL_GRANT_version(op.grant_opts);
    s.max_channels = std::min(op.max_evtchn_port, standard.max_channels - 1) + 1;
    s.is_xenstore_domain = (op.flags & XEN_DOMCTL_CDF_xs_domain) != 0;
    s.starts_paused = true;
    std::copy_n(op.handle, sizeof s.handle, s.handle);
    return s;
}

// Numbers are not used again before all others were: who still talks of an old domain does not meet a new one.
constinit std::atomic<u16> last_number{0};

Result<Domain*> create_next(const DomainSettings& settings) {
    for (u32 tries = 1; tries < domid_first_reserved.raw; ++tries) {
        u16 number = static_cast<u16>(last_number.fetch_add(1) + 1);
        if (number == 0 || number >= domid_first_reserved.raw) {
            last_number.store(0);
            continue;
        }
        const Result<Domain*> made = create_domain(DomId(number), settings);
        if (made || made.error() != XEN_EEXIST) return made;
    }
    return fail(XEN_ENOMEM);
}

}  // namespace

Result<DomId> create(domid_t wanted, const xen_domctl_createdomain& op) {
    const bool choose = wanted == 0 || wanted >= domid_first_reserved.raw;
    if (!choose && find_domain(DomId(wanted))) return fail(XEN_EEXIST);
    TRY(check(op));
    const DomainSettings settings = TRY(settings_from(op));
    if (!pool_can_run(op.cpupool_id)) return fail(XEN_EINVAL);
    Domain* d = TRY(choose ? create_next(settings) : create_domain(DomId(wanted), settings));
    (void)put_into_pool(*d, op.cpupool_id);
    log::info("d{}: created, {} vCPUs", d->id, d->max_vcpus);
    return d->id;
}

Result<> pause(Domain& d) {
    {
        Guard guard(d.lock);
        const u32 before = d.controller_pauses.load();
        if (before >= max_pauses) return fail(XEN_EOVERFLOW);
        d.controller_pauses.store(before + 1);
        if (before == 0) for_each_vcpu(d, sched::pause);
    }
    sched::wait_until_out_of_guest(d);
    return {};
}

Result<> unpause(Domain& d) {
    Guard guard(d.lock);
    const u32 before = d.controller_pauses.load();
    if (before == 0) return fail(XEN_EINVAL);
    d.controller_pauses.store(before - 1);
    if (before > 1) return {};
    d.has_run = true;
    for_each_vcpu(d, sched::unpause);
    return {};
}

Result<> resume(Domain& d) {
    if (d.life.load() != Life::alive) return fail(XEN_EINVAL);
    resume_domain(d);
    return {};
}

Result<> set_max_vcpus(Domain& d, u32 count) {
    if (count != d.max_vcpus) return fail(XEN_EINVAL);
    return {};
}

Result<> set_max_memory(Domain& d, u64 kib_limit) {
    constexpr u64 most = 0xffffffff;
    d.max_pages.store(std::min(kib_limit >> 2, most));
    return {};
}

Result<> set_time_offset(Domain& d, const xen_domctl_settimeoffset& op) {
    d.time_offset_seconds.store(op.time_offset_seconds);
    port::publish_wall_clock(d);
    return {};
}

Result<> send_trigger(Domain& d, const xen_domctl_sendtrigger& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_ESRCH);
    switch (op.trigger) {
        case XEN_DOMCTL_SENDTRIGGER_NMI: break;
        case XEN_DOMCTL_SENDTRIGGER_POWER:
        case XEN_DOMCTL_SENDTRIGGER_SLEEP: return fail(XEN_EINVAL);  // buttons of ACPI, which PV guests do not have
        default: return fail(XEN_ENOSYS);
    }
    send_nmi(*d.vcpus[op.vcpu]);
    return {};
}

}  // namespace xylem::control
