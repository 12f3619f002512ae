// SPDX-License-Identifier: MIT
// The MMU hypercalls [ABI.md 3.3-3.5] and the piece they share: changing one entry of a live page table.
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/pv/pte.hpp"

namespace xylem::pv {

// A use of a page table that keeps it a page table while entries are changed.
class TableUse {
   public:
    // Fails where the frame is not a validated page table of `owner` (type none then), without side effects.
    static TableUse take(PageInfo& page, DomId owner);
    ~TableUse() { reset(); }
    TableUse() = default;
    TableUse(TableUse&& o) noexcept : page_(std::exchange(o.page_, nullptr)), level_(o.level_) {}
    TableUse& operator=(TableUse&& o) noexcept {
        if (this != &o) {
            reset();
            page_ = std::exchange(o.page_, nullptr);
            level_ = o.level_;
        }
        return *this;
    }
    explicit operator bool() const { return page_ != nullptr; }
    unsigned level() const { return level_; }
    const PageInfo* page() const { return page_; }
    void reset();

   private:
    PageInfo* page_ = nullptr;
    unsigned level_ = 0;
};

enum class AccessedDirty : u8 { as_given, preserve };

// Replaces an entry of a table held by a TableUse: checks the new one, writes it, gives back what the old one held.
// `slot` lies in the direct map. Long for levels above 1.
Result<> replace_entry(Domain& mapper, DomId owner, unsigned level, u64* slot, u64 entry, AccessedDirty ad);
// The same as compare-and-swap against what the guest believed to be there (write emulation). `expected` holds what was found.
Result<bool> replace_l1_if(Domain& mapper, u64* slot, u64& expected, u64 entry);

long hypercall_mmu_update(u64 requests, u64 count, u64 done, u64 foreign, u64, u64);
long hypercall_mmuext_op(u64 operations, u64 count, u64 done, u64 foreign, u64, u64);
long hypercall_update_va_mapping(u64 va, u64 entry, u64 flags, u64, u64, u64);
long hypercall_update_va_mapping_otherdomain(u64 va, u64 entry, u64 flags, u64 domain, u64, u64);

}  // namespace xylem::pv
