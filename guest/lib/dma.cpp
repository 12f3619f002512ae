// SPDX-License-Identifier: MIT
#include "guest/lib/dma.hpp"

#include "base/panic.hpp"
#include "guest/kit/calls.hpp"

namespace xylem::dma {
namespace {

constexpr unsigned max_order = 6;

void set_reservation(xen_memory_reservation_t& r, xen_pfn_t* list, u64 count, unsigned order, unsigned flags) {
    set_xen_guest_handle_raw(r.extent_start, list);
    r.nr_extents = count;
    r.extent_order = order;
    r.mem_flags = flags;
    r.domid = DOMID_SELF;
}

}  // namespace

Result<Buffer> allocate(unsigned order, unsigned address_bits) {
    if (order > max_order) return fail(XEN_EINVAL);
    auto* const memory = static_cast<u8*>(kit::allocate_pages(order));
    if (memory == nullptr) return fail(XEN_ENOMEM);
    const u64 count = u64{1} << order;
    const Gfn first = kit::pfn_at(memory);
    xen_pfn_t in[1 << max_order], out = first.raw;
    for (u64 i = 0; i < count; ++i) {
        in[i] = kit::frame_of(first + i).raw;
        if (kit::update_va_mapping(kit::linear(first + i), 0, UVMF_INVLPG | UVMF_ALL) != 0)
            panic("dma: page {} is still in use", first.raw + i);
    }
    xen_memory_exchange_t exchange{};
    set_reservation(exchange.in, in, count, 0, 0);
    set_reservation(exchange.out, &out, 1, order, XENMEMF_address_bits(address_bits));
    const long r = kit::memory_op(XENMEM_exchange, &exchange);
    const bool done = exchange.nr_exchanged == count;
    for (u64 i = 0; i < count; ++i) {
        const Mfn mfn(done ? out + i : in[i]);
        kit::set_frame_of(first + i, mfn);
        if (kit::update_va_mapping(kit::linear(first + i), kit::pte::make(mfn, kit::pte::data), UVMF_INVLPG) != 0)
            panic("dma: page {} cannot be mapped again", first.raw + i);
    }
    if (!done) {
        kit::free_pages(memory, order);
        return fail(r < 0 ? static_cast<Errno>(-r) : XEN_ENOMEM);
    }
    std::memset(memory, 0, count << page_shift);
    return Buffer{memory, Maddr(out << page_shift), count << page_shift};
}

Result<Bounce> Bounce::create(unsigned order, unsigned address_bits) {
    const Buffer buffer = TRY(allocate(order, address_bits));
    return Bounce(buffer, address_bits);
}

bool Bounce::is_direct(const void* memory, u64 bytes, unsigned address_bits) {
    const auto* p = static_cast<const u8*>(memory);
    const u64 first = kit::machine_address(p).raw;
    for (u64 at = 0; at < bytes; at += page_size - ((kit::word(p) + at) & page_mask))
        if (kit::machine_address(p + at).raw != first + at) return false;
    return address_bits >= 64 || first + bytes <= u64{1} << address_bits;
}

Result<Maddr> Bounce::begin(void* memory, u64 bytes, Direction direction) {
    memory_ = memory;
    bytes_ = bytes;
    direction_ = direction;
    through_buffer_ = !is_direct(memory, bytes, address_bits_);
    if (!through_buffer_) return kit::machine_address(memory);
    if (bytes > buffer_.bytes) return fail(XEN_E2BIG);
    if (direction == Direction::to_device) {
        std::memcpy(buffer_.memory, memory, bytes);
        ++copies_;
    }
    return buffer_.at;
}

void Bounce::finish() {
    if (!through_buffer_ || direction_ != Direction::from_device) return;
    std::memcpy(memory_, buffer_.memory, bytes_);
    ++copies_;
}

}  // namespace xylem::dma
