// SPDX-License-Identifier: MIT
#include "core/irq/line.hpp"

#include "base/log.hpp"
#include "core/evtchn/events.hpp"

namespace xylem::irq {
namespace {
constinit Lines all_lines;
}  // namespace

Lines& lines() {
    return all_lines;
}

void Line::on_interrupt() {
    void (*own)() = nullptr;
    bool is_level = false;
    {
        IrqGuard guard(lock_);
        is_level = level();
        // A level line stays asserted until the guest has served its device: masked meanwhile. Everything else cannot repeat
        // itself.
        if (is_level) port::mask_gsi(gsi_);
        port::end_of_interrupt();
        ++count_;
        if (first_ != nullptr) [[likely]]
            return tell_listeners(is_level);
        own = own_;
        if (own == nullptr) return report_unexpected();
    }
    own();
    if (is_level) {
        IrqGuard guard(lock_);
        port::unmask_gsi(gsi_);
    }
}

void Line::tell_listeners(bool is_level) {
    for (Binding* b = first_; b != nullptr; b = b->next) {
        if (is_level && !b->in_flight) {
            b->in_flight = true;
            ++in_flight_;
        }
        if (!evtchn::notify_pirq(*b->domain, b->port, b->pirq) && b->in_flight) [[unlikely]] {
            b->in_flight = false;
            --in_flight_;
        }
    }
    if (is_level && in_flight_ == 0) [[unlikely]]
        port::unmask_gsi(gsi_);
}

// Nobody listens, so nobody will make it stop: it stays silent.
void Line::report_unexpected() {
    if (source_ == Source::gsi) port::mask_gsi(gsi_);
    if (source_ == Source::message && message_.device != nullptr) pci::set_masked(message_, true);
    if (reported_) return;
    reported_ = true;
    switch (source_) {
        case Source::none: log::warning("interrupt on vector {:#x}, which nothing uses", vector_); break;
        case Source::gsi: log::warning("interrupt of GSI {}, to which no domain listens: masked", gsi_); break;
        case Source::message: log::warning("message on vector {:#x}, to which no domain listens: masked", vector_); break;
    }
}

void Line::close() {
    if (source_ == Source::gsi)
        port::mask_gsi(gsi_);
    else if (message_.device != nullptr)
        pci::set_masked(message_, true);
}

Result<> Line::serve(void (*handler)()) {
    IrqGuard guard(lock_);
    if (source_ != Source::gsi) return fail(XEN_EINVAL);
    if (first_ != nullptr || own_ != nullptr) return fail(XEN_EBUSY);
    TRY(port::route_gsi(gsi_, vector_, CpuId(0), mode_, false));  // what comes at once waits for our lock
    own_ = handler;
    return {};
}

Result<> Line::bind(Binding& binding) {
    IrqGuard guard(lock_);
    if (source_ == Source::none) return fail(XEN_EINVAL);
    if (own_ != nullptr) return fail(XEN_EBUSY);
    if (first_ != nullptr && (source_ != Source::gsi || !binding.shares || !first_->shares)) return fail(XEN_EBUSY);
    const bool opens = first_ == nullptr;
    binding.in_flight = false;
    binding.next = first_;
    first_ = &binding;
    if (!opens) return {};
    reported_ = false;
    if (source_ == Source::message) {
        pci::set_masked(message_, false);
    } else if (Result<> routed = port::route_gsi(gsi_, vector_, cpu_, mode_, false); !routed) {
        first_ = nullptr;
        return routed;
    }
    return {};
}

void Line::unbind(Binding& binding) {
    IrqGuard guard(lock_);
    for (Binding** link = &first_; *link != nullptr; link = &(*link)->next) {
        if (*link != &binding) continue;
        *link = binding.next;
        break;
    }
    binding.next = nullptr;
    const bool last_to_end = binding.in_flight && --in_flight_ == 0;
    binding.in_flight = false;
    if (first_ == nullptr)
        close();
    else if (last_to_end)
        port::unmask_gsi(gsi_);
}

void Line::end(Binding& binding) {
    IrqGuard guard(lock_);
    if (!binding.in_flight) return;
    binding.in_flight = false;
    if (--in_flight_ == 0) port::unmask_gsi(gsi_);
}

void Line::retarget(CpuId cpu) {
    IrqGuard guard(lock_);
    if (cpu_ == cpu || first_ == nullptr) return;
    if (source_ == Source::gsi) {
        if (port::route_gsi(gsi_, vector_, cpu, mode_, in_flight_ != 0)) cpu_ = cpu;
    } else if (message_.count == 1) {  // a block of MSIs goes to one CPU: where it is
        cpu_ = cpu;
        pci::program(message_, port::compose_msi(cpu, vector_));
    }
}

u32 Line::listeners() {
    IrqGuard guard(lock_);
    u32 n = 0;
    for (const Binding* b = first_; b != nullptr; b = b->next) ++n;
    return n;
}

bool Line::is_level() {
    IrqGuard guard(lock_);
    return level();
}

void Line::dump(text::Sink& out) {
    text::FixedText<240> line;
    {
        IrqGuard guard(lock_);
        if (source_ == Source::none) return;
        text::format(line, "  vector {:02x} ", u32{vector_});
        if (source_ == Source::gsi)
            text::format(line, "GSI {} {} {}", gsi_, mode_.trigger == Trigger::level ? "level" : "edge",
                         mode_.polarity == Polarity::low ? "low" : "high");
        else
            text::format(line, "{}", message_.is_msix ? "MSI-X" : "MSI");
        text::format(line, " cpu {} count {}{}", cpu_, count_, own_ != nullptr ? " hypervisor" : "");
        for (const Binding* b = first_; b != nullptr; b = b->next)
            text::format(line, " d{}:{}{}", b->domain->id, b->pirq, b->in_flight ? "*" : "");
    }
    line.write("\n");
    out.write(line.view());
}

Result<> Lines::set_mode(Gsi gsi, InterruptMode mode) {
    if (gsi.raw >= max_gsis || !port::gsi_exists(gsi)) return fail(XEN_EINVAL);
    Guard guard(lock_);
    GsiState& state = gsis_[gsi.raw];
    if (state.set_up) return fail(XEN_EEXIST);
    if (state.vector != 0) {
        Line& line = lines_[state.vector];
        IrqGuard g(line.lock_);
        if (line.first_ != nullptr || line.own_ != nullptr) return fail(XEN_EEXIST);
        line.mode_ = mode;
    }
    state.set_up = true;
    state.mode = mode;
    return {};
}

Result<Line*> Lines::of_gsi(Gsi gsi) {
    if (gsi.raw >= max_gsis || !port::gsi_exists(gsi)) return fail(XEN_EINVAL);
    Guard guard(lock_);
    GsiState& state = gsis_[gsi.raw];
    if (state.vector == 0) {
        state.vector = TRY(port::allocate_vectors(1));
        Line& line = lines_[state.vector];
        IrqGuard g(line.lock_);
        line.source_ = Line::Source::gsi;
        line.gsi_ = gsi;
        line.mode_ = state.set_up ? state.mode : port::firmware_mode(gsi);
        line.in_flight_ = 0;
        line.count_ = 0;
    }
    return &lines_[state.vector];
}

Result<u8> Lines::make_messages(pci::Device& device, bool is_msix, u32 index, u32 count, u64 bar) {
    Guard guard(lock_);
    const u8 first = TRY(port::allocate_vectors(count));
    for (u32 i = 0; i < count; ++i) {
        Line& line = lines_[first + i];
        const Result<> claimed =
            is_msix ? pci::claim_msix(device, line.message_, index, bar) : pci::claim_msi(device, line.message_, i, count);
        if (!claimed) {
            while (i-- > 0) pci::release(lines_[first + i].message_);
            port::release_vectors(first, count);
            return fail(claimed.error());
        }
    }
    for (u32 i = 0; i < count; ++i) {
        Line& line = lines_[first + i];
        IrqGuard g(line.lock_);
        line.source_ = Line::Source::message;
        line.mode_ = {};
        line.in_flight_ = 0;
        line.count_ = 0;
        line.cpu_ = CpuId(0);
        line.reported_ = false;
    }
    for (u32 i = 0; i < count; ++i)
        pci::program(lines_[first + i].message_, port::compose_msi(CpuId(0), static_cast<u8>(first + i)));
    return first;
}

void Lines::free_messages(u8 first, u32 count) {
    Guard guard(lock_);
    for (u32 i = 0; i < count; ++i) {
        Line& line = lines_[first + i];
        IrqGuard g(line.lock_);
        pci::release(line.message_);
        line.source_ = Line::Source::none;
        line.reported_ = false;
    }
    port::release_vectors(first, count);
}

void Lines::forget_for_tests() {
    Guard guard(lock_);
    for (GsiState& gsi : gsis_) gsi = GsiState{};
    for (Line& line : lines_) {
        IrqGuard g(line.lock_);
        line.source_ = Line::Source::none;
        line.reported_ = false;
        line.cpu_ = CpuId(0);
        line.in_flight_ = 0;
        line.count_ = 0;
        line.own_ = nullptr;
    }
}

void dump_lines(text::Sink& out) {
    for (u32 vector = 0; vector < 256; ++vector) lines().of_vector(static_cast<u8>(vector)).dump(out);
}

}  // namespace xylem::irq
