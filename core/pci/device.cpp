// SPDX-License-Identifier: MIT
#include "core/pci/device.hpp"

#include "core/pci/capability.hpp"

namespace xylem::pci {
namespace {

// The list of a bus only grows; additions are serialised by the lock, readers need none.
class Devices {
   public:
    Device* find(Sbdf sbdf) const {
        for (Device* d = head(sbdf).load(std::memory_order_acquire); d != nullptr; d = d->next)
            if (d->sbdf == sbdf) return d;
        return nullptr;
    }
    Device* find_or_make(Sbdf sbdf) {
        Guard guard(lock_);
        if (Device* known = find(sbdf)) return known;
        void* memory = heap_allocate(sizeof(Device));
        if (memory == nullptr) return nullptr;
        Device* device = ::new (memory) Device(sbdf);
        device->next = head(sbdf).load(std::memory_order_relaxed);
        head(sbdf).store(device, std::memory_order_release);
        return device;
    }
    template <class Test>
    bool any(Test test) {
        for (auto& bus : buses_)
            for (Device* d = bus.load(std::memory_order_acquire); d != nullptr; d = d->next)
                if (test(*d)) return true;
        return false;
    }

   private:
    std::atomic<Device*>& head(Sbdf sbdf) { return buses_[sbdf.bus()]; }
    const std::atomic<Device*>& head(Sbdf sbdf) const { return buses_[sbdf.bus()]; }

    Spinlock lock_;
    std::array<std::atomic<Device*>, 256> buses_{};  // of all segments
};

constinit Devices devices;

// Walks the capability list; 48 steps are more than fit into the space.
u16 find_capability(Sbdf sbdf, u8 wanted) {
    if ((port::pci_config_read(sbdf, reg_status, 2) & status_capabilities) == 0) return 0;
    u32 at = port::pci_config_read(sbdf, reg_capabilities, 1) & 0xfc;
    for (unsigned step = 0; step < 48 && at >= 0x40; ++step) {
        const u32 head = port::pci_config_read(sbdf, at, 2);
        if ((head & 0xff) == 0xff) return 0;
        if ((head & 0xff) == wanted) return static_cast<u16>(at);
        at = head >> 8 & 0xfc;
    }
    return 0;
}

void read_capabilities(Device& d) {
    d.msi_at = find_capability(d.sbdf, capability_msi);
    d.msix_at = find_capability(d.sbdf, capability_msix);
    if (d.msi_at != 0) {
        const u32 control = port::pci_config_read(d.sbdf, d.msi_at + msi::control, 2);
        d.msi_has_64_bits = (control & msi::control_64) != 0;
        d.msi_maskable = (control & msi::control_maskable) != 0;
        d.msi_log_vectors = static_cast<u8>(control >> msi::control_capable_shift & 7);
        if (d.msi_log_vectors > 5) d.msi_log_vectors = 0;
    }
    if (d.msix_at != 0) {
        const u32 control = port::pci_config_read(d.sbdf, d.msix_at + msix::control, 2);
        d.msix_entries = static_cast<u16>((control & msix::control_size_mask) + 1);
    }
}

bool covers(Maddr start, u64 bytes, Mfn mfn) {
    return start.raw != 0 && mfn >= mfn_of(start) && mfn <= mfn_of(start + (bytes - 1));
}

}  // namespace

Device* find_device(Sbdf sbdf) {
    Device* d = devices.find(sbdf);
    return d != nullptr && d->present.load(std::memory_order_acquire) ? d : nullptr;
}

Device* any_device(Sbdf sbdf) {
    return devices.find(sbdf);
}

Result<> add_device(Sbdf sbdf, bool is_virtual_function) {
    Device* d = devices.find_or_make(sbdf);
    if (d == nullptr) return fail(XEN_ENOMEM);
    if (d->present.load(std::memory_order_acquire)) return {};
    d->is_virtual_function = is_virtual_function;
    read_capabilities(*d);
    d->owner.store(0, std::memory_order_relaxed);
    d->present.store(true, std::memory_order_release);
    return {};
}

Result<> remove_device(Sbdf sbdf) {
    Device* d = find_device(sbdf);
    if (d == nullptr) return fail(XEN_ENODEV);
    IrqGuard guard(d->lock);
    if (d->entries != nullptr) return fail(XEN_EBUSY);
    d->msix_prepared = false;
    d->present.store(false, std::memory_order_release);
    return {};
}

Result<> set_owner(Sbdf sbdf, DomId owner) {
    Device* d = find_device(sbdf);
    if (d == nullptr) return fail(XEN_ENODEV);
    d->owner.store(owner.raw, std::memory_order_relaxed);
    return {};
}

Result<> set_read_only(Sbdf sbdf) {
    Device* d = devices.find_or_make(sbdf);
    if (d == nullptr) return fail(XEN_ENOMEM);
    d->read_only.store(true, std::memory_order_relaxed);
    return {};
}

bool is_msix_frame(Mfn mfn) {
    return devices.any([mfn](Device& d) {
        if (d.msix_at == 0) return false;
        IrqGuard guard(d.lock);
        const bool ours = d.msix_prepared || (d.entries != nullptr && d.entries->is_msix);
        return ours && (covers(d.msix_table, u64{d.msix_entries} * msix::entry_bytes, mfn) ||
                        covers(d.msix_pending, align_up(u64{d.msix_entries}, u64{64}) / 8, mfn));
    });
}

}  // namespace xylem::pci
