// SPDX-License-Identifier: MIT
// A domain: an identity, its memory account, its vCPUs and its tables.
#pragma once

#include <array>
#include <atomic>

#include "abi/xen.hpp"
#include "base/sync/spinlock.hpp"
#include "core/domain/io_rights.hpp"
#include "core/domain/vcpu.hpp"
#include "core/mem/heap.hpp"

namespace xylem {

namespace evtchn {
class Table;
}
namespace grant {
class Table;
}
namespace irq {
class PirqTable;
}
struct ArchDomain;
struct MemoryMap;

inline constexpr u32 max_vcpus_per_domain = 128;

enum class Life : u8 { alive, dying, dead };

struct Domain {
    explicit Domain(DomId i) : id(i) {}

    DomId id;
    bool is_hardware_domain = false;  // owns the machine's devices (dom0)
    bool is_control_domain = false;   // may act on other domains (dom0)
    ArchDomain* arch = nullptr;       // owned; arch/*/domain

    // --- life -------------------------------------------------------------------------------------------------------------
    std::atomic<u32> references{1};  // objects that point here; the last one frees the structure
    std::atomic<Life> life{Life::alive};
    Spinlock shutdown_lock;                            // for changes of the next two, with the pauses that go with them
    std::atomic<bool> shutting_down{false};            // asked to
    std::atomic<bool> shut_down{false};                // none of its vCPUs is in the guest any more; tools were told
    static constexpr u32 no_shutdown_code = 255;       // what Xen's tools see where there is none
    std::atomic<u32> shutdown_code{no_shutdown_code};  // SHUTDOWN_*; a guest may tell it before it shuts down
    std::atomic<u32> controller_pauses{0};
    std::atomic<u32> suspend_port{0};  // told when the domain suspends itself (XEN_DOMCTL_subscribe); 0 = nobody
    bool is_xenstore_domain = false;   // as its creator said; only shown
    std::atomic<u32> cpu_pool{0};
    bool has_run = false;  // a controller let it go for the first time: what it sees of its CPUs stays. Under `lock`
    xen_domain_handle_t handle{};
    std::atomic<i64> time_offset_seconds{0};  // its wall clock against the machine's

    // Held by whoever builds, examines or destroys the domain from outside: see ControlLock.
    std::atomic<bool> controlled{false};

    // --- memory account ------------------------------------------------------------------------------------------------------
    std::atomic<u64> total_pages{0};
    std::atomic<u64> max_pages{0};
    // References held on the domain's frames by anybody keep it from being freed: counted per frame, see core/mem.

    // What XENMEM_set_memory_map stored for the domain, or null. Owned; core/mem/memory_op.
    MemoryMap* memory_map = nullptr;

    IoRights io;

    // --- shared with the guest -------------------------------------------------------------------------------------------------
    Mfn shared_mfn = invalid_mfn;
    shared_info* shared = nullptr;
    vcpu_info dummy_vcpu_info{};  // for vCPUs beyond shared_info that registered none yet

    // --- vCPUs -------------------------------------------------------------------------------------------------------------
    u32 max_vcpus = 0;
    std::array<Vcpu*, max_vcpus_per_domain> vcpus{};
    sched::DomainShare sched;
    Vcpu* vcpu(VcpuId i) { return i.raw < max_vcpus ? vcpus[i.raw] : nullptr; }

    // --- tables (owned; made in domain creation)
    evtchn::Table* events = nullptr;
    grant::Table* grants = nullptr;
    irq::PirqTable* pirqs = nullptr;

    // Serialises domctl-like changes to this domain. Rank: outermost.
    Spinlock lock;
};

// The vCPUs that are there, in the order of their numbers.
template <class Visit>
void for_each_vcpu(Domain& d, Visit&& visit) {
    for (u32 i = 0; i < d.max_vcpus; ++i)
        if (d.vcpus[i] != nullptr) visit(*d.vcpus[i]);
}

// A counted reference to a domain.
class DomainRef {
   public:
    DomainRef() = default;
    // Takes over one count.
    static DomainRef adopt(Domain* d) { return DomainRef(d); }
    static DomainRef share(Domain& d) {
        d.references.fetch_add(1, std::memory_order_relaxed);
        return DomainRef(&d);
    }
    ~DomainRef() {
        if (d_ != nullptr) [[unlikely]]
            release();
    }
    DomainRef(DomainRef&& o) noexcept : d_(std::exchange(o.d_, nullptr)) {}
    DomainRef& operator=(DomainRef&& o) noexcept {
        std::swap(d_, o.d_);
        return *this;
    }
    Domain* operator->() const { return d_; }
    Domain& operator*() const { return *d_; }
    Domain* get() const { return d_; }
    explicit operator bool() const { return d_ != nullptr; }

   private:
    explicit DomainRef(Domain* d) : d_(d) {}
    void release();
    Domain* d_ = nullptr;
};

// The domain with this id (domid_self means the current vCPU's), or an empty reference. Takes the domain list's lock.
DomainRef find_domain(DomId id);

// For hypercalls that name a domain: XEN_ESRCH where there is none, XEN_EPERM where `caller` is neither that domain nor a
// control domain.
Result<DomainRef> find_domain_for(Domain& caller, DomId id);

// The last reference is gone: takes the domain off the list, frees its tables, vCPUs and structure, and tells dom0. No locks
// held.
void free_domain(Domain& d);

// A lock that may be held while other vCPUs run; who waits lets others run, too. For long operations on a domain (or something
// else) from outside, one at a time. No other locks held.
class ControlLock {
   public:
    explicit ControlLock(std::atomic<bool>& held);
    explicit ControlLock(Domain& d) : ControlLock(d.controlled) {}
    ~ControlLock() { held_.store(false, std::memory_order_release); }
    ControlLock(const ControlLock&) = delete;
    ControlLock& operator=(const ControlLock&) = delete;

   private:
    std::atomic<bool>& held_;
};

// Tells dom0 (VIRQ_DOM_EXC etc.): raises a global VIRQ in the domain that handles it.
void send_global_virq(u32 virq);

// The guest's state is beyond repair, or it asked for it: marks the domain as shut down with SHUTDOWN_crash, stops its
// vCPUs, tells dom0. Dom0's own crash stops the machine with a report. `why` goes to the log.
void crash_domain(Domain& d, const char* why);

}  // namespace xylem
