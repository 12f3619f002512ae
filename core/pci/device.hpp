// SPDX-License-Identifier: MIT
// The PCI functions that dom0 told us of, and their message signalled interrupts. We own the MSI and MSI-X registers of a
// function while any of its interrupts is mapped.
#pragma once

#include <array>

#include "base/sync/spinlock.hpp"
#include "core/mem/heap.hpp"
#include "core/port/irqchip.hpp"
#include "core/port/pci.hpp"

namespace xylem::pci {

struct Device;

// One mapped message of a device; lives in the interrupt line that it raises.
struct MsiEntry {
    Device* device = nullptr;  // null: not in use
    bool is_msix = false;
    u16 index = 0;  // MSI-X: table entry; MSI: which of the block
    u16 count = 1;  // MSI: size of the block
    bool masked = true;
    port::MsiMessage message{};  // what we wrote, never read back
    MsiEntry* next = nullptr;    // of the device
};

// Never freed: a function that was removed is only marked as absent.
struct Device {
    explicit Device(Sbdf s) : sbdf(s) {}

    const Sbdf sbdf;
    Device* next = nullptr;  // of the bus
    std::atomic<bool> present{false};
    std::atomic<bool> read_only{false};  // the hypervisor's own: dom0 may not write to it
    std::atomic<u16> owner{0};           // the domain that its interrupts may be mapped for

    // --- constant while present
    bool is_virtual_function = false;
    u16 msi_at = 0;  // capability, 0 = none
    bool msi_has_64_bits = false;
    bool msi_maskable = false;
    u8 msi_log_vectors = 0;
    u16 msix_at = 0;
    u16 msix_entries = 0;

    // Interrupts off. Rank: inside interrupt lines' locks.
    Spinlock lock;
    MsiEntry* entries XYLEM_GUARDED_BY(lock) = nullptr;
    u32 msi_mask XYLEM_GUARDED_BY(lock) = ~u32{0};
    bool guest_mask_all XYLEM_GUARDED_BY(lock) = false;  // MSI-X function mask as dom0 wants it
    bool host_mask_all XYLEM_GUARDED_BY(lock) = false;   // the table cannot be reached now
    bool msix_prepared XYLEM_GUARDED_BY(lock) = false;   // PHYSDEVOP_prepare_msix
    Maddr msix_table XYLEM_GUARDED_BY(lock){0};          // 0 = not known yet
    Maddr msix_pending XYLEM_GUARDED_BY(lock){0};
    volatile u32* table XYLEM_GUARDED_BY(lock) = nullptr;  // mapping of `table_mapped`
    Maddr table_mapped XYLEM_GUARDED_BY(lock){0};
};

// --- devices (any domain; the callers check privilege) -------------------------------------------------------------------------
// Null where dom0 has not told of it.
Device* find_device(Sbdf sbdf);
// Also one that dom0 has not told of (yet), if anything is known of it.
Device* any_device(Sbdf sbdf);
// Finds its capabilities. Telling twice is no error. XEN_ENOMEM.
Result<> add_device(Sbdf sbdf, bool is_virtual_function);
// XEN_ENODEV; XEN_EBUSY while its interrupts are mapped.
Result<> remove_device(Sbdf sbdf);
// The domain that its interrupts may be mapped for. XEN_ENODEV.
Result<> set_owner(Sbdf sbdf, DomId owner);
// Dom0 may look but not touch (also before it tells of the device). XEN_ENOMEM.
Result<> set_read_only(Sbdf sbdf);

// --- messages

// Make `entry` (not in use) the device's; nothing is raised until set_masked(false). Interrupts on. XEN_ENODEV: the device has no
// such capability. XEN_EEXIST: in use already. XEN_EINVAL: no such table entry, count too large.
Result<> claim_msi(Device& device, MsiEntry& entry, u32 index, u32 count);
// `bar` is the memory of the table's BAR as dom0 knows it, used for virtual functions, whose own BARs say nothing.
// XEN_ENXIO: the table is not in decoded memory. XEN_ENOMEM.
Result<> claim_msix(Device& device, MsiEntry& entry, u32 index, u64 bar);
// Writes the message to the device; of an MSI block, that of index 0 counts.
void program(MsiEntry& entry, const port::MsiMessage& message);
void set_masked(MsiEntry& entry, bool masked);
// Masks it and gives it back; the last one ends our hold on the registers.
void release(MsiEntry& entry);

// PHYSDEVOP_restore_msi*: the device forgot its registers. PHYSDEVOP_prepare/release_msix. XEN_ENODEV, XEN_EBUSY.
Result<> restore_msi(Sbdf sbdf);
Result<> prepare_msix(Sbdf sbdf, bool prepare);

// Holds a part of an MSI-X table or pending array in use: nobody but us may write there. For port::is_read_only_device_frame().
bool is_msix_frame(Mfn mfn);

}  // namespace xylem::pci
