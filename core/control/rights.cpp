// SPDX-License-Identifier: MIT
#include "core/control/rights.hpp"

#include "core/irq/pirq_table.hpp"
#include "core/port/io_rights.hpp"
#include "core/port/machine.hpp"

namespace xylem::control {

Result<> set_port_permission(const Domain& caller, Domain& d, const xen_domctl_ioport_permission& op) {
    const u32 first = op.first_port;
    const u32 last = first + op.nr_ports - 1;
    if (op.nr_ports == 0 || last < first || last > IoRights::last_port) return fail(XEN_EINVAL);
    if (!port::may_use_ports(caller, first, last)) return fail(XEN_EPERM);
    return d.io.set_ports(first, last, op.allow_access != 0);
}

Result<> set_frame_permission(const Domain& caller, Domain& d, const xen_domctl_iomem_permission& op) {
    const u64 first = op.first_mfn;
    const u64 last = first + op.nr_mfns - 1;
    if (last < first) return fail(XEN_EINVAL);
    if (!port::may_map_device_frames(caller, Mfn(first), Mfn(last))) return fail(XEN_EPERM);
    return d.io.set_frames(first, last, op.allow_access != 0);
}

Result<> set_irq_permission(Domain& caller, Domain& d, const xen_domctl_irq_permission& op) {
    if (caller.pirqs == nullptr || op.pirq >= caller.pirqs->count()) return fail(XEN_EINVAL);
    const Result<Gsi> gsi = caller.pirqs->gsi_of(Pirq(op.pirq));
    if (!gsi || !irq::has_irq_permission(caller, *gsi)) return fail(XEN_EPERM);
    return irq::set_irq_permission(d, *gsi, op.allow_access != 0);
}

Result<> check_frame_mapping(const Domain& caller, const Domain& d, const xen_domctl_memory_mapping& op) {
    constexpr u64 most = 64;
    const u64 first = op.first_mfn;
    const u64 last = first + op.nr_mfns - 1;
    if (last < first || op.first_gfn + op.nr_mfns - 1 < op.first_gfn || last > IoRights::last_frame) return fail(XEN_EINVAL);
    if (op.nr_mfns > most) return fail(XEN_E2BIG);
    if (!port::may_map_device_frames(caller, Mfn(first), Mfn(last))) return fail(XEN_EPERM);
    return port::may_map_device_frames(d, Mfn(first), Mfn(last)) ? Result<>() : fail(XEN_EPERM);
}

}  // namespace xylem::control
