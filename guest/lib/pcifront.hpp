// SPDX-License-Identifier: MIT
// PCI devices that another domain lends us [xen/io/pciif.h]: configuration space by one operation at a time through a shared
// page.
#pragma once

#include "abi/io.hpp"
#include "guest/lib/frontend.hpp"
#include "guest/lib/pci_op.hpp"

namespace xylem::pcifront {

class Bus {
   public:
    // The one PCI bus of this domain, once its frontend's directory is there.
    static Result<Bus*> connect();

    // Where the backend shows its n-th device.
    Result<PciPlace> device(unsigned number) const;
    Result<u32> read(const PciPlace& at, u32 reg, u32 bytes);
    Result<> write(const PciPlace& at, u32 reg, u32 bytes, u32 value);
    // The interrupt that was made for the device's only message; to be bound as an event.
    Result<u32> enable_msi(const PciPlace& at);
    Result<> disable_msi(const PciPlace& at);
    Result<> close();

   private:
    Result<u32> perform(PciOperation::Kind kind, const PciPlace& at, u32 reg = 0, u32 bytes = 0, u32 value = 0);

    frontend::Place place_;
    std::optional<PciOperation> operation_;
    u32 port_ = 0;
};

}  // namespace xylem::pcifront
