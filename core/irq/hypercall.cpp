// SPDX-License-Identifier: MIT
// Hypercall 33: which operation, and who may ask for it.
#include <bit>

#include "core/irq/pirq_table.hpp"
#include "core/pci/device.hpp"
#include "core/port/guest.hpp"
#include "core/port/guest_cpu.hpp"

namespace xylem::irq {
namespace {

constinit bool messages_allowed = true;

Result<> need_hardware_domain(const Domain& caller) {
    if (!caller.is_hardware_domain) return fail(XEN_EPERM);
    return {};
}

// The domain whose pirq is mapped or unmapped: only for those who are in charge of devices, who may act for others.
Result<DomainRef> subject(Domain& caller, domid_t id) {
    if (!caller.is_control_domain && !caller.is_hardware_domain) return fail(XEN_EPERM);
    DomainRef domain = TRY(find_domain_for(caller, DomId(id)));
    if (domain->pirqs == nullptr) return fail(XEN_ESRCH);
    return domain;
}

// --- mapping

Result<> map_gsi(Domain& caller, Domain& domain, physdev_map_pirq& op) {
    if (op.index < 0) return fail(XEN_EINVAL);
    const Gsi gsi(static_cast<u32>(op.index));
    if (!has_irq_permission(caller, gsi)) return fail(XEN_EPERM);
    op.pirq = static_cast<int>(TRY(domain.pirqs->map_gsi(gsi, op.pirq)).raw);
    return set_irq_permission(domain, gsi, true);  // who maps it for another gives it to him
}

// A block of MSIs of the size that the device can have next to the wanted one: the guest is told how many it got.
Result<> map_messages(Domain& domain, physdev_map_pirq& op) {
    if (!messages_allowed) return fail(XEN_EPERM);
    const auto bus = static_cast<u32>(op.bus);
    MessageRequest request;
    const u16 segment = op.type == MAP_PIRQ_TYPE_MSI ? u16{0} : static_cast<u16>(bus >> 16);
    request.device = Sbdf(segment, static_cast<u8>(bus), static_cast<u8>(op.devfn));
    if (op.type == MAP_PIRQ_TYPE_MULTI_MSI) {
        if (op.entry_nr <= 0 || op.entry_nr > 32) return fail(XEN_EINVAL);
        const pci::Device* device = pci::find_device(request.device);
        if (device == nullptr) return fail(XEN_ENODEV);
        const u32 wanted = std::bit_ceil(static_cast<u32>(op.entry_nr));
        if (const u32 most = 1u << device->msi_log_vectors; wanted > most) {
            op.entry_nr = static_cast<int>(most);
            return fail(XEN_EINVAL);
        }
        request.count = wanted;
    } else {
        if (op.entry_nr < 0) return fail(XEN_EINVAL);
        request.is_msix = op.table_base != 0;
        request.index = static_cast<u32>(op.entry_nr);
        request.bar = op.table_base;
    }
    op.pirq = static_cast<int>(TRY(domain.pirqs->map_messages(request, op.pirq < 0 ? PirqTable::any : op.pirq)).raw);
    return {};
}

Result<> map_pirq(Domain& caller, u64 arg) {
    const GuestPtr<physdev_map_pirq> at(arg);
    auto op = TRY(at.read());
    const DomainRef domain = TRY(subject(caller, op.domid));
    const bool anonymous = op.pirq < 0;
    Result<> mapped = fail(XEN_EINVAL);
    switch (op.type) {
        case MAP_PIRQ_TYPE_GSI:
            if (anonymous) op.pirq = PirqTable::any;
            mapped = map_gsi(caller, *domain, op);
            break;
        case MAP_PIRQ_TYPE_MSI:
        case MAP_PIRQ_TYPE_MSI_SEG:
        case MAP_PIRQ_TYPE_MULTI_MSI:
            mapped = map_messages(*domain, op);
            // How many there could be, for another try.
            if (!mapped && op.type == MAP_PIRQ_TYPE_MULTI_MSI) (void)field(at, &physdev_map_pirq::entry_nr).write(op.entry_nr);
            break;
        default: break;
    }
    TRY(std::move(mapped));
    if (Result<> told = at.write(op); !told) {
        if (op.type != MAP_PIRQ_TYPE_GSI) (void)domain->pirqs->unmap(Pirq(static_cast<u32>(op.pirq)));
        return told;
    }
    return {};
}

Result<> unmap_pirq(Domain& caller, u64 arg) {
    const auto op = TRY(GuestPtr<physdev_unmap_pirq>(arg).read());
    const DomainRef domain = TRY(subject(caller, op.domid));
    if (op.pirq < 0) return fail(XEN_EINVAL);
    return domain->pirqs->unmap(Pirq(static_cast<u32>(op.pirq)));
}

Result<> get_free_pirq(Domain& caller, u64 arg) {
    const GuestPtr<physdev_get_free_pirq> at(arg);
    const auto op = TRY(at.read());
    if (op.type != MAP_PIRQ_TYPE_GSI && op.type != MAP_PIRQ_TYPE_MSI) return fail(XEN_EINVAL);
    const Pirq pirq = TRY(caller.pirqs->reserve(op.type == MAP_PIRQ_TYPE_GSI));
    if (Result<> told = field(at, &physdev_get_free_pirq::pirq).write(pirq.raw); !told) {
        (void)caller.pirqs->unmap(pirq);
        return told;
    }
    return {};
}

// --- interrupts

Result<> irq_status_query(Domain& caller, u64 arg) {
    const GuestPtr<physdev_irq_status_query> at(arg);
    const auto op = TRY(at.read());
    const u32 flags = TRY(caller.pirqs->status(Pirq(op.irq)));
    return field(at, &physdev_irq_status_query::flags).write(flags);
}

// Vectors are our own business: the guest gets a number it can work with.
Result<> alloc_irq_vector(Domain& caller, u64 arg) {
    const GuestPtr<physdev_irq> at(arg);
    const auto op = TRY(at.read());
    if (op.irq >= caller.pirqs->count()) return fail(XEN_EINVAL);
    return field(at, &physdev_irq::vector).write(op.irq);
}

Result<> setup_gsi(Domain& caller, u64 arg) {
    const auto op = TRY(GuestPtr<physdev_setup_gsi>(arg).read());
    TRY(need_hardware_domain(caller));
    if (op.gsi < 0) return fail(XEN_EINVAL);
    const InterruptMode mode{op.triggering != 0 ? Trigger::level : Trigger::edge,
                             op.polarity != 0 ? Polarity::low : Polarity::high};
    return lines().set_mode(Gsi(static_cast<u32>(op.gsi)), mode);
}

Result<> apic_read(Domain& caller, u64 arg) {
    const GuestPtr<physdev_apic> at(arg);
    const auto op = TRY(at.read());
    TRY(need_hardware_domain(caller));
    const u32 value = TRY(port::apic_read(op.apic_physbase, op.reg));
    return field(at, &physdev_apic::value).write(value);
}

// The I/O APICs are ours: lines are set up by the operations above.
Result<> apic_write(Domain& caller, u64 arg) {
    TRY(GuestPtr<physdev_apic>(arg).read());
    TRY(need_hardware_domain(caller));
    return fail(XEN_EPERM);
}

// --- the vCPU

Result<> set_iopl(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<physdev_set_iopl>(arg).read());
    if (op.iopl > 3) return fail(XEN_EINVAL);
    port::set_iopl(v, op.iopl);
    return {};
}

Result<> set_iobitmap(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<physdev_set_iobitmap>(arg).read());
    if (op.nr_ports > 65536) return fail(XEN_EINVAL);
    port::set_iobitmap(v, GuestPtr<u8>(op.bitmap).address(), op.nr_ports);
    return {};
}

// --- PCI devices

Result<> pci_device_add(u64 arg) {
    // The optional array behind it tells NUMA nodes: nothing that we use.
    struct Head {
        u16 segment;
        u8 bus, devfn;
        u32 flags;
        u8 physfn_bus, physfn_devfn;
    };
    static_assert(offsetof(Head, physfn_bus) == offsetof(physdev_pci_device_add, physfn));
    const auto op = TRY(GuestPtr<Head>(arg).read());
    return pci::add_device(Sbdf(op.segment, op.bus, op.devfn), (op.flags & XEN_PCI_DEV_VIRTFN) != 0);
}

Result<> manage_pci_add_ext(u64 arg) {
    const auto op = TRY(GuestPtr<physdev_manage_pci_ext>(arg).read());
    if (op.is_extfn > 1 || op.is_virtfn > 1) return fail(XEN_EINVAL);
    return pci::add_device(Sbdf(0, op.bus, op.devfn), op.is_virtfn != 0);
}

Result<Sbdf> short_name(u64 arg) {
    const auto op = TRY(GuestPtr<physdev_manage_pci>(arg).read());
    return Sbdf(0, op.bus, op.devfn);
}
Result<Sbdf> long_name(u64 arg) {
    const auto op = TRY(GuestPtr<physdev_pci_device>(arg).read());
    return Sbdf(op.seg, op.bus, op.devfn);
}

Result<> pci_mmcfg_reserved(u64 arg) {
    const auto op = TRY(GuestPtr<physdev_pci_mmcfg_reserved>(arg).read());
    if (op.start_bus > op.end_bus) return fail(XEN_EINVAL);
    return port::confirm_ecam(Maddr(op.address), op.segment, op.start_bus, op.end_bus, (op.flags & XEN_PCI_MMCFG_RESERVED) != 0);
}

Result<> pci_operation(Domain& caller, u64 command, u64 arg) {
    TRY(need_hardware_domain(caller));
    switch (command) {
        case PHYSDEVOP_manage_pci_add: return pci::add_device(TRY(short_name(arg)), false);
        case PHYSDEVOP_manage_pci_remove: return pci::remove_device(TRY(short_name(arg)));
        case PHYSDEVOP_manage_pci_add_ext: return manage_pci_add_ext(arg);
        case PHYSDEVOP_pci_device_add: return pci_device_add(arg);
        case PHYSDEVOP_pci_device_remove: return pci::remove_device(TRY(long_name(arg)));
        case PHYSDEVOP_restore_msi: return pci::restore_msi(TRY(short_name(arg)));
        case PHYSDEVOP_restore_msi_ext: return pci::restore_msi(TRY(long_name(arg)));
        case PHYSDEVOP_prepare_msix: return pci::prepare_msix(TRY(long_name(arg)), true);
        case PHYSDEVOP_release_msix: return pci::prepare_msix(TRY(long_name(arg)), false);
        case PHYSDEVOP_pci_mmcfg_reserved: return pci_mmcfg_reserved(arg);
        default: return fail(XEN_ENOSYS);  // dbgp_op: we use no EHCI debug port, so it needs no care of ours
    }
}

Result<> dispatch(Vcpu& v, u64 command, u64 arg) {
    Domain& caller = v.domain;
    switch (command) {
        case PHYSDEVOP_eoi: return caller.pirqs->end(Pirq(TRY(GuestPtr<physdev_eoi>(arg).read()).irq));
        case PHYSDEVOP_irq_status_query: return irq_status_query(caller, arg);
        case PHYSDEVOP_pirq_eoi_gmfn_v1:
        case PHYSDEVOP_pirq_eoi_gmfn_v2: {
            const auto op = TRY(GuestPtr<physdev_pirq_eoi_gmfn>(arg).read());
            return caller.pirqs->set_end_map(Gfn(op.gmfn), command == PHYSDEVOP_pirq_eoi_gmfn_v1);
        }
        case PHYSDEVOP_map_pirq: return map_pirq(caller, arg);
        case PHYSDEVOP_unmap_pirq: return unmap_pirq(caller, arg);
        case PHYSDEVOP_get_free_pirq: return get_free_pirq(caller, arg);
        case PHYSDEVOP_alloc_irq_vector: return alloc_irq_vector(caller, arg);
        case PHYSDEVOP_setup_gsi: return setup_gsi(caller, arg);
        case PHYSDEVOP_apic_read: return apic_read(caller, arg);
        case PHYSDEVOP_apic_write: return apic_write(caller, arg);
        case PHYSDEVOP_set_iopl: return set_iopl(v, arg);
        case PHYSDEVOP_set_iobitmap: return set_iobitmap(v, arg);
        case PHYSDEVOP_manage_pci_add:
        case PHYSDEVOP_manage_pci_remove:
        case PHYSDEVOP_manage_pci_add_ext:
        case PHYSDEVOP_pci_device_add:
        case PHYSDEVOP_pci_device_remove:
        case PHYSDEVOP_restore_msi:
        case PHYSDEVOP_restore_msi_ext:
        case PHYSDEVOP_prepare_msix:
        case PHYSDEVOP_release_msix:
        case PHYSDEVOP_pci_mmcfg_reserved:
        case PHYSDEVOP_dbgp_op: return pci_operation(caller, command, arg);
        default: return fail(XEN_ENOSYS);  // free_irq_vector too
    }
}

}  // namespace

void allow_messages(bool allowed) {
    messages_allowed = allowed;
}

long physdev_op(Vcpu& v, u64 command, u64 arg) {
    if (v.domain.pirqs == nullptr) return to_hypercall_result(XEN_ENOSYS);
    const Result<> done = dispatch(v, static_cast<u32>(command), arg);
    return done ? 0 : to_hypercall_result(done.error());
}

}  // namespace xylem::irq
