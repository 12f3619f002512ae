// SPDX-License-Identifier: MIT
// XENMEM_exchange: frames for frames, typically many single ones for one run that a device can address.
//
// Work goes in chunks: the least that is whole extents on both sides. A chunk is done completely or not at all, and
// nr_exchanged counts exactly the done ones, whatever ends the call.
#include <algorithm>
#include <array>

#include "core/domain/domain.hpp"
#include "core/mem/memory_op.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::memory {
namespace {

class Exchange {
   public:
    explicit Exchange(DomainRef d) : domain_(std::move(d)) {}
    ~Exchange() {
        if (heap_ != nullptr) heap_release(heap_, heap_bytes_);
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    Result<> prepare(const xen_memory_exchange& op, unsigned max_order);
    Result<> do_chunk(u64 chunk);
    u64 chunks() const { return chunks_; }
    u64 inputs_per_chunk() const { return inputs_; }

   private:
    Result<> detach_inputs();
    Result<> allocate_outputs();
    void undo_inputs(u64 pages);
    void undo_outputs(u64 extents);
    PageInfo* input_page(u64 page) const {
        return find_page(port::gfn_to_mfn(*domain_, Gfn(input_list_[page >> in_order_]) + (page & ((u64{1} << in_order_) - 1))));
    }

    DomainRef domain_;
    GuestPtr<u64> in_;
    GuestPtr<u64> out_;
    unsigned in_order_ = 0;
    unsigned out_order_ = 0;
    unsigned address_bits_ = 64;
    u64 inputs_ = 0;   // extents per chunk
    u64 outputs_ = 0;  // extents per chunk
    u64 pages_ = 0;    // per chunk
    u64 chunks_ = 0;
    // One chunk's frame numbers: what goes, where the new ones belong, the new ones. The usual chunk fits without the heap.
    u64* input_list_ = nullptr;
    u64* gfns_ = nullptr;
    u64* mfns_ = nullptr;
    std::array<u64, 130> small_;
    void* heap_ = nullptr;
    usize heap_bytes_ = 0;
};

Result<> Exchange::prepare(const xen_memory_exchange& op, unsigned max_order) {
    in_order_ = op.in.extent_order;
    out_order_ = op.out.extent_order;
    if (std::max(in_order_, out_order_) > max_order) return fail(XEN_EPERM);
    if (op.nr_exchanged > op.in.nr_extents) return fail(XEN_EINVAL);
    if (op.in.nr_extents > ~u64{0} >> in_order_ || op.out.nr_extents > ~u64{0} >> out_order_) return fail(XEN_EINVAL);
    if (op.in.nr_extents << in_order_ != op.out.nr_extents << out_order_) return fail(XEN_EINVAL);
    const unsigned bits = XENMEMF_get_address_bits(op.out.mem_flags);
    if (bits != 0 && bits <= page_shift) return fail(XEN_EINVAL);
    address_bits_ = bits == 0 ? 64 : std::min(bits, 64u);
    in_ = GuestPtr<u64>(op.in.extent_start);
    out_ = GuestPtr<u64>(op.out.extent_start);

    const unsigned chunk_order = std::max(in_order_, out_order_);
    pages_ = u64{1} << chunk_order;
    inputs_ = u64{1} << (chunk_order - in_order_);
    outputs_ = u64{1} << (chunk_order - out_order_);
    chunks_ = op.in.nr_extents / inputs_;
    u64* list = small_.data();
    if (const u64 numbers = inputs_ + 2 * outputs_; numbers > small_.size()) {
        heap_bytes_ = numbers * sizeof(u64);
        heap_ = heap_allocate(heap_bytes_);
        if (heap_ == nullptr) return fail(XEN_ENOMEM);
        list = static_cast<u64*>(heap_);
    }
    input_list_ = list;
    gfns_ = list + inputs_;
    mfns_ = gfns_ + outputs_;
    return {};
}

void Exchange::undo_inputs(u64 pages) {
    for (u64 i = 0; i < pages; ++i) {
        PageInfo& page = *input_page(i);
        if (!attach_domain_page(*domain_, page, true)) free_detached_page(page);  // the domain is dying
    }
}

void Exchange::undo_outputs(u64 extents) {
    for (u64 e = 0; e < extents; ++e)
        for (u64 i = 0; i < u64{1} << out_order_; ++i) (void)release_domain_page(*domain_, *find_page(Mfn(mfns_[e]) + i));
}

// A frame that anybody else still uses (a mapping, a grant, a pin), or that is named twice, stops the chunk.
Result<> Exchange::detach_inputs() {
    for (u64 i = 0; i < pages_; ++i) {
        PageInfo* page = input_page(i);
        if (page == nullptr || !detach_domain_page(*domain_, *page)) {
            undo_inputs(i);
            return fail(XEN_EINVAL);
        }
    }
    return {};
}

Result<> Exchange::allocate_outputs() {
    for (u64 e = 0; e < outputs_; ++e) {
        const auto mfn = allocate_domain_pages(*domain_, out_order_, {.address_bits = address_bits_, .pfn = gfns_[e]});
        if (!mfn) {
            undo_outputs(e);
            return fail(mfn.error());
        }
        mfns_[e] = mfn->raw;
    }
    return {};
}

// The inputs leave first, so that a domain at its maximum has room for the outputs.
Result<> Exchange::do_chunk(u64 chunk) {
    TRY(in_.element(chunk * inputs_).read_many(input_list_, inputs_));
    const GuestPtr<u64> out = out_.element(chunk * outputs_);
    TRY(out.read_many(gfns_, outputs_));
    TRY(detach_inputs());
    if (auto made = allocate_outputs(); !made) {
        undo_inputs(pages_);
        return made;
    }
    if (auto told = out.write_many(mfns_, outputs_); !told) {
        undo_outputs(outputs_);
        undo_inputs(pages_);
        return told;
    }
    for (u64 i = 0; i < pages_; ++i) free_detached_page(*input_page(i));
    return {};
}

}  // namespace

Result<long> exchange(Vcpu& vcpu, u64 argument) {
    const GuestPtr<xen_memory_exchange> at(argument);
    const auto op = TRY(at.read());
    if (op.in.domid != op.out.domid) return fail(XEN_EINVAL);
    DomainRef domain = TRY(find_domain_for(vcpu.domain, DomId(op.in.domid)));
    Exchange work(std::move(domain));
    TRY(work.prepare(op, max_extent_order(vcpu.domain)));

    Result<> outcome;
    u64 chunk = op.nr_exchanged / work.inputs_per_chunk();
    while (chunk < work.chunks()) {
        outcome = work.do_chunk(chunk);
        if (!outcome) break;
        if (++chunk < work.chunks() && !port::preemption_point()) break;
    }
    TRY(field(at, &xen_memory_exchange::nr_exchanged).write(chunk * work.inputs_per_chunk()));
    TRY(outcome);
    return 0;
}

}  // namespace xylem::memory
