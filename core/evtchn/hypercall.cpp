// SPDX-License-Identifier: MIT
// Hypercall 32: which operation, and who may ask for it.
#include "core/evtchn/events.hpp"
#include "core/evtchn/table.hpp"
#include "core/port/guest.hpp"

namespace xylem::evtchn {
namespace {

// A fresh port whose number the guest does not get is closed again.
template <class Op>
Result<> answer_port(Table& table, GuestPtr<Op> at, evtchn_port_t Op::* member, Result<Port> made) {
    const Port port = TRY(std::move(made));
    if (Result<> written = field(at, member).write(port.raw); !written) {
        (void)table.close(port);
        return written;
    }
    return {};
}

// The domain that is asked about, with its table.
Result<DomainRef> subject(Domain& caller, domid_t id) {
    DomainRef domain = TRY(find_domain_for(caller, DomId(id)));
    if (domain->events == nullptr) return fail(XEN_ESRCH);
    return domain;
}

DomId named(Domain& caller, domid_t id) {
    return id == DOMID_SELF ? caller.id : DomId(id);
}

Result<> alloc_unbound(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_alloc_unbound> at(arg);
    const auto op = TRY(at.read());
    const DomainRef domain = TRY(subject(caller, op.dom));
    Table& table = *domain->events;
    return answer_port(table, at, &evtchn_alloc_unbound::port, table.alloc_unbound(named(caller, op.remote_dom)));
}

Result<> bind_interdomain(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_bind_interdomain> at(arg);
    const auto op = TRY(at.read());
    const DomainRef remote = find_domain(named(caller, op.remote_dom));  // whoever the port waits for may bind it
    if (!remote || remote->events == nullptr) return fail(XEN_ESRCH);
    Table& table = *caller.events;
    return answer_port(table, at, &evtchn_bind_interdomain::local_port,
                       table.bind_interdomain(*remote->events, Port(op.remote_port)));
}

Result<> bind_virq(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_bind_virq> at(arg);
    const auto op = TRY(at.read());
    return answer_port(*caller.events, at, &evtchn_bind_virq::port, caller.events->bind_virq(op.virq, VcpuId(op.vcpu)));
}

Result<> bind_ipi(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_bind_ipi> at(arg);
    const auto op = TRY(at.read());
    return answer_port(*caller.events, at, &evtchn_bind_ipi::port, caller.events->bind_ipi(VcpuId(op.vcpu)));
}

Result<> bind_pirq(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_bind_pirq> at(arg);
    const auto op = TRY(at.read());
    return answer_port(*caller.events, at, &evtchn_bind_pirq::port,
                       caller.events->bind_pirq(Pirq(op.pirq), (op.flags & BIND_PIRQ__WILL_SHARE) != 0));
}

Result<> status(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_status> at(arg);
    auto op = TRY(at.read());
    const DomainRef domain = TRY(subject(caller, op.dom));
    TRY(domain->events->status(Port(op.port), op));
    return at.write(op);
}

Result<> reset(Domain& caller, u64 arg) {
    const auto op = TRY(GuestPtr<evtchn_reset>(arg).read());
    const DomainRef domain = TRY(subject(caller, op.dom));
    return domain->events->reset();
}

Result<> init_control(Domain& caller, u64 arg) {
    const GuestPtr<evtchn_init_control> at(arg);
    const auto op = TRY(at.read());
    // The answer is always the same: given first, it cannot fail after the switch.
    TRY(field(at, &evtchn_init_control::link_bits).write(EVTCHN_FIFO_LINK_BITS));
    return caller.events->init_control(VcpuId(op.vcpu), Gfn(op.control_gfn), op.offset);
}

Result<> dispatch(Domain& caller, u64 command, u64 arg) {
    Table& table = *caller.events;
    switch (command) {
        case EVTCHNOP_alloc_unbound: return alloc_unbound(caller, arg);
        case EVTCHNOP_bind_interdomain: return bind_interdomain(caller, arg);
        case EVTCHNOP_bind_virq: return bind_virq(caller, arg);
        case EVTCHNOP_bind_ipi: return bind_ipi(caller, arg);
        case EVTCHNOP_bind_pirq: return bind_pirq(caller, arg);
        case EVTCHNOP_close: return table.close(Port(TRY(GuestPtr<evtchn_close>(arg).read()).port));
        case EVTCHNOP_unmask: return table.unmask(Port(TRY(GuestPtr<evtchn_unmask>(arg).read()).port));
        case EVTCHNOP_status: return status(caller, arg);
        case EVTCHNOP_bind_vcpu: {
            const auto op = TRY(GuestPtr<evtchn_bind_vcpu>(arg).read());
            return table.bind_vcpu(Port(op.port), VcpuId(op.vcpu));
        }
        case EVTCHNOP_reset: return reset(caller, arg);
        case EVTCHNOP_init_control: return init_control(caller, arg);
        case EVTCHNOP_expand_array: return table.expand_array(Gfn(TRY(GuestPtr<evtchn_expand_array>(arg).read()).array_gfn));
        case EVTCHNOP_set_priority: {
            const auto op = TRY(GuestPtr<evtchn_set_priority>(arg).read());
            return table.set_priority(Port(op.port), op.priority);
        }
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

long event_channel_op(Vcpu& v, u64 command, u64 arg) {
    Domain& caller = v.domain;
    if (caller.events == nullptr) [[unlikely]]
        return to_hypercall_result(XEN_ENOSYS);
    if (command == EVTCHNOP_send) [[likely]] {
        evtchn_send op;
        if (!port::copy_from_guest(&op, arg, sizeof op)) return to_hypercall_result(XEN_EFAULT);
        const Result<> sent = caller.events->send(Port(op.port));
        return sent ? 0 : to_hypercall_result(sent.error());
    }
    const Result<> done = dispatch(caller, static_cast<u32>(command), arg);
    return done ? 0 : to_hypercall_result(done.error());
}

}  // namespace xylem::evtchn
