// SPDX-License-Identifier: MIT
// Grants, lent to ourselves: mapping, unmapping, copying, their flags and their mistakes [ABI 7.1], XSA-134, 224.
#include <cstring>

#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/grants.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

constexpr DomId self{0};
u64 window;
void* page;

i16 map_status(u16 domain, u32 ref, u64 at, u32 flags, gnttab_map_grant_ref_t* result = nullptr) {
    gnttab_map_grant_ref_t r{};
    r.host_addr = at;
    r.flags = flags;
    r.ref = ref;
    r.dom = domain;
    r.status = 99;
    const long answer = grant_table_op(GNTTABOP_map_grant_ref, &r, 1);
    if (result != nullptr) *result = r;
    return answer == 0 ? r.status : static_cast<i16>(answer * 100);
}
i16 unmap_status(u64 at, u32 handle, u64 bus = 0) {
    gnttab_unmap_grant_ref_t r{};
    r.host_addr = at;
    r.dev_bus_addr = bus;
    r.handle = handle;
    r.status = 99;
    const long answer = grant_table_op(GNTTABOP_unmap_grant_ref, &r, 1);
    return answer == 0 ? r.status : static_cast<i16>(answer * 100);
}

void set_up() {
    gnttab_query_size_t q{};
    q.dom = DOMID_SELF;
    story::succeeds("size/query", grant_table_op(GNTTABOP_query_size, &q, 1));
    story::show("size/status", q.status);
    story::show("size/frames", q.nr_frames);
    story::show("size/most frames", q.max_nr_frames);
    q.dom = 5;
    grant_table_op(GNTTABOP_query_size, &q, 1);
    story::show("size/of domain 5", q.status);
    gnttab_get_version_t v{.dom = DOMID_SELF, .pad = 0, .version = 0};
    story::succeeds("version/get", grant_table_op(GNTTABOP_get_version, &v, 1));
    story::show("version/at first", v.version);
    gnttab_setup_table_t s{};
    s.dom = DOMID_SELF;
    s.nr_frames = 1000;
    story::show("setup/1000 frames", grant_table_op(GNTTABOP_setup_table, &s, 1));
    story::show("setup/status of 1000 frames", s.status);
    s.dom = 5;
    s.nr_frames = 1;
    story::show("setup/for domain 5", grant_table_op(GNTTABOP_setup_table, &s, 1));
    story::show("setup/status for domain 5", s.status);
    for (unsigned op = 0; op <= 14; ++op) {
        text::FixedText<40> name;
        text::format(name, "operation/{} from nowhere", op);
        story::show(name.view(), grant_table_op(op, reinterpret_cast<void*>(0x1000), 1));
        name.clear();
        text::format(name, "operation/{} of nothing", op);
        story::show(name.view(), grant_table_op(op, &s, 0));
    }
    if (!grants::start(2)) story::error("no grant table");
    std::memset(grants::table(), 0, 16);
    window = reserve_window(16);
    page = allocate_pages();
    for (u64 i = 0; i < 16; ++i)
        if (!map(window + i * page_size, pte::make(frame_at(page), pte::data))) story::error("no window");
    page = allocate_pages();
}

void mapping() {
    const auto ref = grants::lend(self, frame_at(page), grants::Access::read_write);
    if (!ref) story::error("no grant entry");
    gnttab_map_grant_ref_t m;
    story::equal("map/read-write", map_status(0, *ref, window, GNTMAP_host_map, &m), GNTST_okay);
    story::is("map/bus address", m.dev_bus_addr == frame_at(page).raw << page_shift);
    story::show("map/handle", m.handle);
    *static_cast<volatile u64*>(page) = 77;
    story::equal_hex("map/same memory", *reinterpret_cast<volatile u64*>(window), 77);
    story::runs("map/writable", attempt([] { *reinterpret_cast<volatile u64*>(window) = 78; }));
    story::show_hex("map/flags of the entry", grants::table()[*ref].flags);
    story::is("map/lender cannot end it", !grants::end(*ref));
    story::show_hex("map/pte", *find_entry(kernel_root(), window, 1) & ~pte::address & ~(pte::global | u64{1} << 52));
    gnttab_map_grant_ref_t second;
    story::equal("map/a second time", map_status(0, *ref, window + page_size, GNTMAP_host_map | GNTMAP_readonly, &second),
                 GNTST_okay);
    story::traps("map/read-only mapping", attempt([] { *reinterpret_cast<volatile u64*>(window + page_size) = 1; }), 14, 3);
    story::show("unmap/wrong handle", unmap_status(window, 12345));
    story::show("unmap/handle of the other", unmap_status(window, second.handle));
    story::show("unmap/wrong address", unmap_status(window + 2 * page_size, m.handle));
    story::show("unmap/wrong bus address", unmap_status(window, m.handle, 0x1234000));
    story::show("unmap/address and bus address", unmap_status(window, m.handle, m.dev_bus_addr));
    story::traps("unmap/gone", attempt([] { (void)*reinterpret_cast<volatile u64*>(window); }), 14, 0);
    story::show("unmap/again", unmap_status(window, m.handle));
    story::show_hex("unmap/flags while the reader stays", grants::table()[*ref].flags);
    story::show("unmap/the second", unmap_status(window + page_size, second.handle));
    story::show_hex("unmap/flags at the end", grants::table()[*ref].flags);
    story::is("unmap/lender ends it", grants::end(*ref));
    story::show("map/ended grant", map_status(0, *ref, window, GNTMAP_host_map));
}

void mistakes() {
    const auto ref = grants::lend(self, frame_at(page), grants::Access::read_only);
    story::show("bad/write to a read-only grant", map_status(0, *ref, window, GNTMAP_host_map));
    gnttab_map_grant_ref_t m;
    story::show("bad/read-only one read-only", map_status(0, *ref, window, GNTMAP_host_map | GNTMAP_readonly, &m));
    story::show("bad/unmap it", unmap_status(window, m.handle));
    story::show("bad/no kind of mapping", map_status(0, *ref, window, 0));
    story::show("bad/read-only alone", map_status(0, *ref, window, GNTMAP_readonly));
    story::show("bad/device only", map_status(0, *ref, 0, GNTMAP_device_map | GNTMAP_readonly, &m));
    story::show("bad/unmap device", unmap_status(0, m.handle, m.dev_bus_addr));
    story::show("bad/ref beyond", map_status(0, 100000, window, GNTMAP_host_map));
    story::show("bad/ref of zeroes", map_status(0, 600, window, GNTMAP_host_map));
    story::show("bad/domain 5", map_status(5, *ref, window, GNTMAP_host_map));
    story::show("bad/DOMID_SELF", map_status(DOMID_SELF, *ref, window, GNTMAP_host_map | GNTMAP_readonly, &m));
    if (m.status == 0) unmap_status(window, m.handle);
    story::show("bad/address without table", map_status(0, *ref, 0x7f0000000000, GNTMAP_host_map | GNTMAP_readonly));
    story::show("bad/address not aligned", map_status(0, *ref, window + 8, GNTMAP_host_map | GNTMAP_readonly, &m));
    if (m.status == 0) unmap_status(window + 8, m.handle);
    story::show("bad/address in the hypervisor", map_status(0, *ref, 0xffff830000000000, GNTMAP_host_map | GNTMAP_readonly));
    story::show("bad/address not canonical", map_status(0, *ref, 0x1234567812345000, GNTMAP_host_map | GNTMAP_readonly));
    story::show("bad/pte of no table",
                map_status(0, *ref, machine_address(page).raw, GNTMAP_host_map | GNTMAP_readonly | GNTMAP_contains_pte));
    grants::end(*ref);
    const auto other = grants::lend(DomId(7), frame_at(page), grants::Access::read_write);
    story::show("bad/lent to another", map_status(0, *other, window, GNTMAP_host_map));
    grants::end(*other);
    const auto table = grants::lend(self, frame_at(kernel_root()), grants::Access::read_write);
    story::show("bad/a page table writable", map_status(0, *table, window, GNTMAP_host_map));
    grants::end(*table);
    const auto nobody = grants::lend(self, Mfn(0x210), grants::Access::read_write);
    story::show("bad/of nobody", map_status(0, *nobody, window, GNTMAP_host_map));
    grants::end(*nobody);
    const auto beyond = grants::lend(self, Mfn(0xfffffff), grants::Access::read_write);
    story::show("bad/beyond memory", map_status(0, *beyond, window, GNTMAP_host_map));
    grants::end(*beyond);
    const auto video = grants::lend(self, Mfn(0xa0), grants::Access::read_write);
    story::show("bad/video memory", map_status(0, *video, window, GNTMAP_host_map));
    grants::end(*video);
}

void by_pte() {
    const auto ref = grants::lend(self, frame_at(page), grants::Access::read_write);
    u64* const entry = find_entry(kernel_root(), window, 1);
    if (!set_entry(entry, 0)) story::error("no entry");
    const u64 at = machine_address(entry).raw;
    gnttab_map_grant_ref_t m;
    story::show(
        "pte/map",
        map_status(0, *ref, at, GNTMAP_host_map | GNTMAP_contains_pte | GNTMAP_application_map | 1u << _GNTMAP_guest_avail0, &m));
    story::show_hex("pte/what is there", *entry & 0xe07);
    story::runs("pte/works", attempt([] { *reinterpret_cast<volatile u64*>(window) = 1; }));
    story::show("pte/unmap by address", unmap_status(window, m.handle));
    story::show("pte/unmap", unmap_status(at, m.handle));
    story::show_hex("pte/afterwards", *entry);
    // A grant's PTE that the guest overwrites: the lender's entry must not come free by that.
    story::show("pte/map again", map_status(0, *ref, window, GNTMAP_host_map, &m));
    story::show("pte/overwritten", set_entry(entry, 0) ? 0 : -1);
    story::is("pte/lender cannot end it", !grants::end(*ref));
    story::show("pte/unmap what is not there", unmap_status(window, m.handle));
}

void copying() {
    void* const from = allocate_pages();
    void* const to = allocate_pages();
    std::memset(from, 0x5a, page_size);
    const auto source = grants::lend(self, frame_at(from), grants::Access::read_only);
    const auto target = grants::lend(self, frame_at(to), grants::Access::read_write);
    const auto copy = [](gnttab_copy_t c) {
        c.status = 99;
        const long r = grant_table_op(GNTTABOP_copy, &c, 1);
        return r == 0 ? static_cast<i64>(c.status) : r * 100;
    };
    gnttab_copy_t c{};
    c.source.domid = 0;
    c.source.u.ref = *source;
    c.dest.domid = 0;
    c.dest.u.ref = *target;
    c.len = 100;
    c.dest.offset = 50;
    c.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
    story::equal("copy/between grants", copy(c), GNTST_okay);
    story::is("copy/arrived", static_cast<u8*>(to)[50] == 0x5a && static_cast<u8*>(to)[149] == 0x5a &&
                                  static_cast<u8*>(to)[49] == 0 && static_cast<u8*>(to)[150] == 0);
    c.source.offset = 4000;
    story::show("copy/beyond the source's end", copy(c));
    c.source.offset = 0;
    c.dest.offset = 4050;
    story::show("copy/beyond the target's end", copy(c));
    c.dest.offset = 0;
    c.len = 0;
    story::show("copy/nothing", copy(c));
    c.len = 8;
    std::swap(c.source.u.ref, c.dest.u.ref);
    story::show("copy/into a read-only grant", copy(c));
    c.source.u.ref = *source;
    c.dest.u.ref = 100000;
    story::show("copy/ref beyond", copy(c));
    c.flags = GNTCOPY_source_gref;
    c.dest.domid = DOMID_SELF;
    c.dest.u.gmfn = frame_at(to).raw;
    story::show("copy/into an own frame", copy(c));
    c.dest.u.gmfn = frame_at(kernel_root()).raw;
    story::show("copy/into a page table", copy(c));
    c.dest.u.gmfn = 0xfffffffff;
    story::show("copy/beyond memory", copy(c));
    c.dest.domid = 5;
    story::show("copy/into domain 5", copy(c));
    c.flags = 0;
    c.source.domid = DOMID_SELF;
    c.source.u.gmfn = frame_at(from).raw;
    c.dest.domid = DOMID_SELF;
    c.dest.u.gmfn = frame_at(to).raw;
    story::show("copy/own to own", copy(c));
    c.flags = 8;
    story::show("copy/unknown flag", copy(c));
    story::is("copy/source ends", grants::end(*source));
    story::is("copy/target ends", grants::end(*target));
}

void versions() {
    gnttab_set_version_t v{.version = 3};
    story::show("version/3", grant_table_op(GNTTABOP_set_version, &v, 1));
    v.version = 1;
    story::show("version/1", grant_table_op(GNTTABOP_set_version, &v, 1));
    v.version = 2;
    story::show("version/2", grant_table_op(GNTTABOP_set_version, &v, 1));
    story::show("version/2 gives", v.version);
    static xen_pfn_t frames[4];
    gnttab_get_status_frames_t s{};
    s.nr_frames = 1;
    s.dom = DOMID_SELF;
    set_xen_guest_handle_raw(s.frame_list, reinterpret_cast<u64*>(frames));
    story::show("version/status frames", grant_table_op(GNTTABOP_get_status_frames, &s, 1));
    story::show("version/status frames' status", s.status);
    v.version = 1;
    story::show("version/back to 1", grant_table_op(GNTTABOP_set_version, &v, 1));
    gnttab_swap_grant_ref_t swap{.ref_a = 8, .ref_b = 9, .status = 99};
    story::show("swap/of two free ones", grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1));
    story::show("swap/status", swap.status);
    swap.ref_b = 100000;
    grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1);
    story::show("swap/ref beyond", swap.status);
    gnttab_transfer_t t{};
    t.mfn = frame_at(page).raw;
    t.domid = 5;
    story::show("transfer/to domain 5", grant_table_op(GNTTABOP_transfer, &t, 1));
    story::show("transfer/status", t.status);
    gnttab_cache_flush_t f{};
    story::show("cache_flush", grant_table_op(GNTTABOP_cache_flush, &f, 1));
    story::show("operation 99", grant_table_op(99, &f, 1));
}

}  // namespace

void kit::guest_main() {
    set_up();
    mapping();
    mistakes();
    by_pte();
    copying();
    versions();
    story::end();
}
