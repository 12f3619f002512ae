// SPDX-License-Identifier: MIT
// XENMEM: giving memory back, getting some, exchanging it, asking about it [ABI 4.4, 7.3], XSA-212.
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

xen_memory_reservation_t reservation(xen_pfn_t* list, u64 count, unsigned order = 0, u16 domain = DOMID_SELF) {
    xen_memory_reservation_t r{};
    set_xen_guest_handle_raw(r.extent_start, list);
    r.nr_extents = count;
    r.extent_order = order;
    r.domid = domain;
    return r;
}

void questions() {
    for (unsigned op = 0; op <= 30; ++op) {
        if (op == XENMEM_maximum_ram_page || op == XENMEM_get_sharing_freed_pages || op == XENMEM_get_sharing_shared_pages)
            continue;
        text::FixedText<40> name;
        text::format(name, "question/{} from nowhere", op);
        story::show(name.view(), memory_op(op, reinterpret_cast<void*>(0x1000)));
    }
    story::show("question/operation 99", memory_op(99, nullptr));
    domid_t domain = DOMID_SELF;
    story::equal("question/current", memory_op(XENMEM_current_reservation, &domain), static_cast<i64>(page_count()));
    story::show("question/maximum", memory_op(XENMEM_maximum_reservation, &domain));
    story::show("question/maximum_gpfn", memory_op(XENMEM_maximum_gpfn, &domain));
    domain = 5;
    story::show("question/current of domain 5", memory_op(XENMEM_current_reservation, &domain));
    domain = DOMID_IO;
    story::show("question/current of DOMID_IO", memory_op(XENMEM_current_reservation, &domain));
    story::show("question/maximum_ram_page", memory_op(XENMEM_maximum_ram_page, nullptr));
    story::show("question/sharing", memory_op(XENMEM_get_sharing_freed_pages, nullptr));

    static struct {
        u64 at, size;
        u32 type;
    } __attribute__((packed)) map[128];
    xen_memory_map_t m{};
    m.nr_entries = 128;
    set_xen_guest_handle_raw(m.buffer, map);
    story::succeeds("question/machine_memory_map", memory_op(XENMEM_machine_memory_map, &m));
    story::show("question/its entries", m.nr_entries);
    story::show_hex("question/first entry's end", map[0].at + map[0].size);
    m.nr_entries = 1;
    story::show("question/machine_memory_map with room for one", memory_op(XENMEM_machine_memory_map, &m));
    story::show("question/its entries then", m.nr_entries);
    story::show("question/memory_map", memory_op(XENMEM_memory_map, &m));
}

void giving_back() {
    void* const page = allocate_pages();
    const Gfn pfn = pfn_at(page);
    const Mfn mfn = frame_of(pfn);
    xen_pfn_t list[4] = {mfn.raw};
    auto r = reservation(list, 1);
    story::show("decrease/page still mapped", memory_op(XENMEM_decrease_reservation, &r));
    const bool still_owned = pfn_of(mfn) == pfn;
    story::show("decrease/m2p still names us", still_owned ? 1 : 0);
    if (still_owned) {
        update_va_mapping(word(page), 0, UVMF_INVLPG);
        story::show("decrease/unmapped", memory_op(XENMEM_decrease_reservation, &r));
    } else {
        update_va_mapping(word(page), 0, UVMF_INVLPG);
    }
    story::is("decrease/m2p forgets", pfn_of(mfn) != pfn);
    story::show("decrease/again", memory_op(XENMEM_decrease_reservation, &r));
    story::show("decrease/mapping it now", update_va_mapping(word(page), pte::make(mfn, pte::data)));
    domid_t self = DOMID_SELF;
    story::equal("decrease/one page less", memory_op(XENMEM_current_reservation, &self), static_cast<i64>(page_count()) - 1);
    list[0] = 0xfffffffff;
    story::show("decrease/beyond memory", memory_op(XENMEM_decrease_reservation, &r));
    list[0] = 0x210;
    story::show("decrease/of nobody", memory_op(XENMEM_decrease_reservation, &r));
    list[0] = frame_at(kernel_root()).raw;
    story::show("decrease/the root", memory_op(XENMEM_decrease_reservation, &r));
    r = reservation(reinterpret_cast<xen_pfn_t*>(0x1000), 1);
    story::show("decrease/list not mapped", memory_op(XENMEM_decrease_reservation, &r));
    r = reservation(list, 1, 0, 5);
    story::show("decrease/of domain 5", memory_op(XENMEM_decrease_reservation, &r));
    r = reservation(list, 1, 40);
    story::show("decrease/order 40", memory_op(XENMEM_decrease_reservation, &r));
    r = reservation(list, 0);
    story::show("decrease/nothing", memory_op(XENMEM_decrease_reservation, &r));

    list[0] = pfn.raw;
    r = reservation(list, 1);
    story::equal("populate/page back", memory_op(XENMEM_populate_physmap, &r), 1);
    story::is("populate/m2p names us", pfn_of(Mfn(list[0])) == pfn);
    set_frame_of(pfn, Mfn(list[0]));
    story::succeeds("populate/maps", update_va_mapping(word(page), pte::make(Mfn(list[0]), pte::data)));
    story::runs("populate/works", attempt([=] { *static_cast<volatile u64*>(page) = 5; }));
    list[0] = page_count() - 1;
    story::show("populate/more than the maximum", memory_op(XENMEM_populate_physmap, &r));
    r = reservation(list, 1, 0, 5);
    story::show("populate/of domain 5", memory_op(XENMEM_populate_physmap, &r));
    r = reservation(list, 1, 40);
    story::show("populate/order 40", memory_op(XENMEM_populate_physmap, &r));
    free_pages(page);
}

xen_memory_exchange_t exchange(xen_pfn_t* in, u64 count_in, unsigned order_in, xen_pfn_t* out, u64 count_out, unsigned order_out,
                               unsigned bits = 0) {
    xen_memory_exchange_t e{};
    e.in = reservation(in, count_in, order_in);
    e.out = reservation(out, count_out, order_out);
    e.out.mem_flags = bits == 0 ? 0 : XENMEMF_address_bits(bits);
    return e;
}

void exchanging() {
    constexpr unsigned order = 3;
    void* const block = allocate_pages(order);
    const Gfn pfn = pfn_at(block);
    static xen_pfn_t in[8], out[8];
    for (u64 i = 0; i < 8; ++i) {
        in[i] = frame_of(pfn + i).raw;
        update_va_mapping(linear(pfn + i), 0, UVMF_INVLPG);
    }
    out[0] = pfn.raw;
    auto e = exchange(in, 8, 0, out, 1, order, 32);
    story::succeeds("exchange/eight for one of eight", memory_op(XENMEM_exchange, &e));
    story::equal("exchange/exchanged", static_cast<i64>(e.nr_exchanged), 8);
    bool neighbours = true;
    for (u64 i = 0; i < 8; ++i) {
        if (pfn_of(Mfn(out[0] + i)) != pfn + i) neighbours = false;
        set_frame_of(pfn + i, Mfn(out[0] + i));
        if (update_va_mapping(linear(pfn + i), pte::make(Mfn(out[0] + i), pte::data)) != 0) neighbours = false;
    }
    story::is("exchange/eight neighbours, ours", neighbours && (out[0] & 7) == 0);
    u64 dirty = 0;
    for (u64 i = 0; i < 8 * page_size / 8; ++i) dirty += static_cast<u64*>(block)[i] != 0 ? 1 : 0;
    story::remark("{} words of the new block are not zero", dirty);

    in[0] = frame_of(pfn).raw;
    out[0] = pfn.raw;
    e = exchange(in, 1, 0, out, 1, 0);
    story::show("exchange/page still mapped", memory_op(XENMEM_exchange, &e));
    story::show("exchange/exchanged then", static_cast<i64>(e.nr_exchanged));
    const bool kept = pfn_of(Mfn(in[0])) == pfn;
    story::show("exchange/the page is still ours", kept ? 1 : 0);
    if (!kept) set_frame_of(pfn, Mfn(out[0]));
    e = exchange(in, 2, 0, out, 1, 0);
    story::show("exchange/unequal", memory_op(XENMEM_exchange, &e));
    e = exchange(in, 0, 0, out, 0, 0);
    story::show("exchange/nothing", memory_op(XENMEM_exchange, &e));
    e = exchange(in, 1, 0, out, 1, 0);
    e.nr_exchanged = 2;
    story::show("exchange/more done than there is", memory_op(XENMEM_exchange, &e));
    e = exchange(in, 1, 30, out, 1, 30);
    story::show("exchange/order 30", memory_op(XENMEM_exchange, &e));
    e = exchange(in, u64{1} << 60, 4, out, u64{1} << 60, 4);
    story::show("exchange/overflowing count", memory_op(XENMEM_exchange, &e));
    in[0] = 0xfffffffff;
    e = exchange(in, 1, 0, out, 1, 0);
    story::show("exchange/beyond memory", memory_op(XENMEM_exchange, &e));
    story::show("exchange/exchanged of that", static_cast<i64>(e.nr_exchanged));
    in[0] = frame_at(kernel_root()).raw;
    e = exchange(in, 1, 0, out, 1, 0);
    story::show("exchange/the root", memory_op(XENMEM_exchange, &e));
    e.in.domid = 5;
    story::show("exchange/for domain 5", memory_op(XENMEM_exchange, &e));
    e = exchange(in, 1, 0, out, 1, 0);
    e.out.domid = 0x7ff4;
    story::show("exchange/out of another domain", memory_op(XENMEM_exchange, &e));
    e = exchange(reinterpret_cast<xen_pfn_t*>(0x1000), 1, 0, out, 1, 0);
    story::show("exchange/list in not mapped", memory_op(XENMEM_exchange, &e));
    e = exchange(in, 1, 0, reinterpret_cast<xen_pfn_t*>(0x1000), 1, 0);
    story::show("exchange/list out not mapped", memory_op(XENMEM_exchange, &e));
    // XSA-212: the list lies in the hypervisor, its start moved by nr_exchanged.
    e = exchange(in, 1, 0, reinterpret_cast<xen_pfn_t*>(0xffff820000000000), 1, 0);
    story::show("xsa-212/out in the hypervisor", memory_op(XENMEM_exchange, &e));
    e = exchange(in, u64{1} << 40, 0, reinterpret_cast<xen_pfn_t*>(0x7fff00000000), u64{1} << 40, 0);
    e.nr_exchanged = (0xffff820000000000 - 0x7fff00000000) / 8;
    story::show("xsa-212/out by nr_exchanged in the hypervisor", memory_op(XENMEM_exchange, &e));
    e = exchange(reinterpret_cast<xen_pfn_t*>(0xffff820000000000), 1, 0, out, 1, 0);
    story::show("xsa-212/in in the hypervisor", memory_op(XENMEM_exchange, &e));
}

void resources() {
    xen_mem_acquire_resource_t r{};
    r.domid = DOMID_SELF;
    r.type = XENMEM_resource_grant_table;
    story::show("resource/size of the own grant table", memory_op(XENMEM_acquire_resource, &r));
    r.type = 77;
    story::show("resource/type 77", memory_op(XENMEM_acquire_resource, &r));
    r = {};
    r.domid = 5;
    story::show("resource/of domain 5", memory_op(XENMEM_acquire_resource, &r));
    r = {};
    r.domid = DOMID_SELF;
    r.pad = 1;
    story::show("resource/with a reserved word", memory_op(XENMEM_acquire_resource, &r));
    xen_machphys_mfn_list_t list{};
    static xen_pfn_t frames[4];
    list.max_extents = 4;
    set_xen_guest_handle_raw(list.extent_start, frames);
    story::show("machphys_mfn_list", memory_op(XENMEM_machphys_mfn_list, &list));
    xen_add_to_physmap_t add{};
    add.domid = DOMID_SELF;
    story::show("add_to_physmap of a PV guest", memory_op(XENMEM_add_to_physmap, &add));
    xen_remove_from_physmap_t remove{};
    remove.domid = DOMID_SELF;
    story::show("remove_from_physmap of a PV guest", memory_op(XENMEM_remove_from_physmap, &remove));
}

}  // namespace

void kit::guest_main() {
    questions();
    giving_back();
    exchanging();
    resources();
    story::end();
}
