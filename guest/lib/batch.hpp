// SPDX-License-Identifier: MIT
// Hypercalls collected and issued as one multicall. Outside lazy mode each is issued at once; inside, at flush points only.
// Entries that change page tables join into one mmu_update, so that a list of 512 entries is one call and not 512.
#pragma once

#include <array>
#include <concepts>

#include "abi/xen.hpp"
#include "base/result.hpp"

namespace xylem::batch {

struct Stats {
    u64 calls = 0;    // asked for
    u64 entries = 0;  // issued: calls that joined count once
    u64 multicalls = 0;
    u64 failures = 0;
};

// Which call failed and why; `tag` is the caller's name for it.
struct CallError {
    u64 operation;
    long result;
    const char* tag;
    u32 position;  // in its multicall
};

// Issue: long(multicall_entry_t* list, unsigned count), the hypercall itself or a test's. Single: a lone entry does not need the
// detour through a list.
template <class Issue, unsigned capacity = 32, unsigned update_capacity = 256>
class Batch {
   public:
    constexpr explicit Batch(Issue issue) : issue_(issue) {}

    // Nested: only the outermost leave flushes.
    void enter_lazy() { ++lazy_; }
    bool leave_lazy() { return --lazy_ == 0 ? flush() : true; }

    bool call(const char* tag, u64 operation, std::same_as<u64> auto... arguments) {
        static_assert(sizeof...(arguments) <= 6);
        if (count_ == capacity) flush();
        ++stats_.calls;
        multicall_entry_t& e = entries_[count_];
        e = {};
        e.op = operation;
        const u64 list[] = {arguments..., 0};
        for (unsigned i = 0; i < sizeof...(arguments); ++i) e.args[i] = list[i];
        tags_[count_++] = tag;
        return settle();
    }

    // A page-table entry; joins the entry before it when that is an mmu_update, too.
    bool update(const char* tag, u64 pointer, u64 value, u64 domain = DOMID_SELF) {
        if (updates_used_ == update_capacity) flush();
        if (count_ > 0 && joins(entries_[count_ - 1], domain)) {
            ++stats_.calls;
            ++entries_[count_ - 1].args[1];
            updates_[updates_used_++] = {.ptr = pointer, .val = value};
            return settle();
        }
        if (count_ == capacity) flush();
        mmu_update_t* const at = &updates_[updates_used_];
        updates_[updates_used_++] = {.ptr = pointer, .val = value};
        return call(tag, __HYPERVISOR_mmu_update, reinterpret_cast<u64>(at), u64{1}, u64{0}, domain);
    }

    // Issues what is there. False: something failed, first_error() tells what.
    bool flush() {
        if (count_ == 0) return true;
        const unsigned n = count_;
        count_ = 0;
        updates_used_ = 0;
        ++stats_.multicalls;
        stats_.entries += n;
        const long r = issue_(entries_.data(), n);
        bool good = true;
        if (r != 0) good = note({__HYPERVISOR_multicall, r, "multicall", 0});
        for (u32 i = 0; i < n && r == 0; ++i) {
            const auto result = static_cast<long>(entries_[i].result);
            if (result < 0) good = note({entries_[i].op, result, tags_[i], i});
        }
        return good;
    }

    const Stats& stats() const { return stats_; }
    bool has_error() const { return has_error_; }
    const CallError& first_error() const { return error_; }
    void forget_error() { has_error_ = false; }
    unsigned pending() const { return count_; }

   private:
    bool joins(const multicall_entry_t& e, u64 domain) const { return e.op == __HYPERVISOR_mmu_update && e.args[3] == domain; }
    bool settle() { return lazy_ > 0 ? true : flush(); }
    bool note(const CallError& e) {
        ++stats_.failures;
        if (!has_error_) error_ = e;
        has_error_ = true;
        return false;
    }

    Issue issue_;
    unsigned lazy_ = 0, count_ = 0, updates_used_ = 0;
    bool has_error_ = false;
    CallError error_{};
    Stats stats_;
    std::array<multicall_entry_t, capacity> entries_{};
    std::array<const char*, capacity> tags_{};
    std::array<mmu_update_t, update_capacity> updates_{};
};

}  // namespace xylem::batch
