// SPDX-License-Identifier: MIT
// One operation on a lent PCI device, in the page shared with its backend. The backend may lie: the answer is copied once, after
// it said that it is done, and an unknown error is an error.
#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "abi/io.hpp"
#include "base/result.hpp"
#include "base/text/format.hpp"
#include "base/text/parse.hpp"

namespace xylem {

struct PciPlace {
    u32 segment = 0, bus = 0, devfn = 0;
    friend bool operator==(const PciPlace&, const PciPlace&) = default;
};

// "SSSS:BB:DD.F" as the store writes it, in hexadecimal without a prefix.
inline std::optional<PciPlace> parse_pci_place(std::string_view text) {
    u32 parts[4]{};
    constexpr char ends[] = {':', ':', '.', '\0'};
    constexpr u32 limits[] = {0xffff, 0xff, 0x1f, 7};
    for (unsigned i = 0; i < 4; ++i) {
        text::FixedText<16> digits;
        const std::string_view part = ends[i] != '\0' ? text::take_part(text, ends[i]) : text;
        if (part.empty() || part.size() > 4) return std::nullopt;
        digits.write("0x");
        digits.write(part);
        const auto n = text::parse_number(digits.view());
        if (!n || *n > limits[i]) return std::nullopt;
        parts[i] = static_cast<u32>(*n);
    }
    return PciPlace{parts[0], parts[1], parts[2] << 3 | parts[3]};
}

class PciOperation {
   public:
    enum class Kind : u32 {
        read = XEN_PCI_OP_conf_read,
        write = XEN_PCI_OP_conf_write,
        enable_msi = XEN_PCI_OP_enable_msi,
        disable_msi = XEN_PCI_OP_disable_msi,
    };

    explicit PciOperation(void* page) : page_(static_cast<xen_pci_sharedinfo*>(page)) { __builtin_memset(page, 0, page_size); }

    bool is_busy() const { return (flags().load(std::memory_order_acquire) & active) != 0; }

    // Shows the backend what to do; it is to be notified then.
    Result<> start(Kind kind, const PciPlace& at, u32 reg, u32 bytes, u32 value) {
        if (is_busy()) return fail(Errno::XEN_EBUSY);  // the last one was never answered
        if (is_about_registers(kind) && ((bytes != 1 && bytes != 2 && bytes != 4) || reg % bytes != 0 || reg >= config_bytes))
            return fail(Errno::XEN_EINVAL);
        xen_pci_op& op = page_->op;
        op.cmd = static_cast<u32>(kind);
        op.err = XEN_PCI_ERR_op_failed;
        op.domain = at.segment;
        op.bus = at.bus;
        op.devfn = at.devfn;
        op.offset = static_cast<s32>(reg);
        op.size = static_cast<s32>(bytes);
        op.value = value;
        flags().fetch_or(active, std::memory_order_release);
        return {};
    }

    // The value of an operation that is done, cut to what was asked for.
    Result<u32> answer(u32 bytes) const {
        if (is_busy()) return fail(Errno::XEN_EAGAIN);
        const auto error = *const_cast<const volatile s32*>(&page_->op.err);
        const auto value = *const_cast<const volatile u32*>(&page_->op.value);
        switch (error) {
            case XEN_PCI_ERR_success: return bytes == 0 || bytes >= 4 ? value : value & ((1u << (8 * bytes)) - 1);
            case XEN_PCI_ERR_dev_not_found: return fail(Errno::XEN_ENODEV);
            case XEN_PCI_ERR_invalid_offset: return fail(Errno::XEN_EINVAL);
            case XEN_PCI_ERR_access_denied: return fail(Errno::XEN_EACCES);
            case XEN_PCI_ERR_not_implemented: return fail(Errno::XEN_ENOSYS);
            default: return fail(Errno::XEN_EIO);
        }
    }

   private:
    using s32 = int;
    static constexpr u32 active = 1u << _XEN_PCIF_active;
    static constexpr u32 config_bytes = 4096;
    static constexpr bool is_about_registers(Kind kind) { return kind == Kind::read || kind == Kind::write; }
    std::atomic_ref<u32> flags() const { return std::atomic_ref<u32>(page_->flags); }

    xen_pci_sharedinfo* page_;
};
static_assert(sizeof(xen_pci_sharedinfo) <= page_size);

}  // namespace xylem
