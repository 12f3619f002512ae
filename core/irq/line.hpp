// SPDX-License-Identifier: MIT
// The machine's interrupts and who listens. A line is a vector: what a GSI or a message raises. Lines are never freed, only used
// again: an interrupt that comes late finds its line in any case.
//
// Locks, outermost first: event channels' Table::lock_, PirqTable's lock_, Lines::lock_, Line::lock_ (interrupts off), then
// pci::Device::lock or Channel::lock. Interrupt handlers begin at Line::lock_.
#pragma once

#include <array>

#include "base/text/format.hpp"
#include "core/domain/domain.hpp"
#include "core/pci/device.hpp"

namespace xylem::irq {

inline constexpr u32 max_gsis = 1024;

// A guest's ear at a line: part of its pirq. Guarded by the line's lock while bound.
struct Binding {
    Domain* domain = nullptr;
    Pirq pirq;
    Port port;  // 0: not bound
    bool shares = false;
    bool in_flight = false;  // told of a level interrupt, has not said that it is done
    Binding* next = nullptr;
};

class Line {
   public:
    enum class Source : u8 { none, gsi, message };

    // The interrupt came (see on_vector).
    void on_interrupt();

    // XEN_EBUSY: somebody listens who does not share, or the newcomer does not; messages are never shared. The first listener
    // opens the line; errors of port::route_gsi().
    Result<> bind(Binding& binding);
    // Also ends the binding's part of an interrupt in flight. The last listener closes the line.
    void unbind(Binding& binding);
    // The hypervisor itself listens, for good, on CPU 0: `handler` runs with interrupts off and no lock of ours. Guests that bind
    // get XEN_EBUSY. Errors as of bind().
    Result<> serve(void (*handler)());
    // A listener is done. When all are, a level line is opened again.
    void end(Binding& binding);

    void retarget(CpuId cpu);
    u32 listeners();
    bool is_level();
    void dump(text::Sink& out);

   private:
    friend class Lines;

    void close() XYLEM_REQUIRES(lock_);
    void tell_listeners(bool is_level) XYLEM_REQUIRES(lock_);
    void report_unexpected() XYLEM_REQUIRES(lock_);
    bool level() const XYLEM_REQUIRES(lock_) { return source_ == Source::gsi && mode_.trigger == Trigger::level; }

    Spinlock lock_;
    Source source_ XYLEM_GUARDED_BY(lock_) = Source::none;
    u8 vector_ = 0;                                    // constant
    void (*own_)() XYLEM_GUARDED_BY(lock_) = nullptr;  // the hypervisor's handler
    bool reported_ XYLEM_GUARDED_BY(lock_) = false;
    InterruptMode mode_ XYLEM_GUARDED_BY(lock_);
    Gsi gsi_ XYLEM_GUARDED_BY(lock_);
    CpuId cpu_ XYLEM_GUARDED_BY(lock_){0};
    u32 in_flight_ XYLEM_GUARDED_BY(lock_) = 0;  // listeners that are not done; the line is masked while there are any
    Binding* first_ XYLEM_GUARDED_BY(lock_) = nullptr;
    pci::MsiEntry message_{};  // of source `message`; guarded by its device's lock
    u64 count_ XYLEM_GUARDED_BY(lock_) = 0;
};

class Lines {
   public:
    constexpr Lines() {
        for (u32 v = 0; v < lines_.size(); ++v) lines_[v].vector_ = static_cast<u8>(v);
    }

    Line& of_vector(u8 vector) { return lines_[vector]; }

    // PHYSDEVOP_setup_gsi. XEN_EINVAL: no such GSI; XEN_EEXIST: set up before, or in use.
    Result<> set_mode(Gsi gsi, InterruptMode mode);
    // The GSI's line, which it has from now on. XEN_EINVAL, XEN_ENOSPC.
    Result<Line*> of_gsi(Gsi gsi);

    // Lines for messages of a device: MSI-X entry `index`, or (index 0) a block of `count` MSIs, whose vectors follow one
    // another. Programmed and masked. The first vector. Errors of pci::claim_msi*(), XEN_ENOSPC.
    Result<u8> make_messages(pci::Device& device, bool is_msix, u32 index, u32 count, u64 bar);
    // Nobody listens any more.
    void free_messages(u8 first, u32 count);

    // Tests: as after boot. Nobody listens, no vector is in use.
    void forget_for_tests();

   private:
    struct GsiState {
        u8 vector = 0;  // 0: none yet
        bool set_up = false;
        InterruptMode mode;
    };

    Spinlock lock_;
    std::array<GsiState, max_gsis> gsis_ XYLEM_GUARDED_BY(lock_){};
    std::array<Line, 256> lines_{};
};

Lines& lines();

// A device vector was raised on this CPU. By the machine's interrupt entry, interrupts off; says the end of interrupt.
inline void on_vector(u8 vector) {
    lines().of_vector(vector).on_interrupt();
}

// Debug key 'i': all lines in use.
void dump_lines(text::Sink& out);

}  // namespace xylem::irq
