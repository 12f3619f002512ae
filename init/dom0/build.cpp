// SPDX-License-Identifier: MIT
#include "init/dom0/build.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/domain/create.hpp"
#include "core/mem/frames.hpp"
#include "core/port/machine.hpp"
#include "hw/x86/registers.hpp"
#include "init/dom0/image/loader.hpp"
#include "init/dom0/layout.hpp"
#include "init/dom0/memory_size.hpp"
#include "init/dom0/start_info.hpp"

namespace xylem::dom0 {
namespace {

// dom0's memory while it is built: pfn -> frame, in runs.
class PhysicalMap {
   public:
    void add_run(Mfn start, u64 count) {
        XYLEM_BUG_ON(runs_ == list_.size());
        list_[runs_++] = {next_, start, count};
        next_ += count;
    }
    Mfn at(u64 pfn) const {
        for (usize i = 0; i < runs_; ++i)
            if (pfn - list_[i].pfn < list_[i].count) return list_[i].mfn + (pfn - list_[i].pfn);
        panic("dom0: page {} lies outside its memory", pfn);
    }
    u64 pages() const { return next_; }
    template <class Visit>
    void for_each_run(Visit&& visit) const {
        for (usize i = 0; i < runs_; ++i) visit(list_[i].pfn, list_[i].mfn, list_[i].count);
    }

   private:
    struct Run {
        u64 pfn;
        Mfn mfn;
        u64 count;
    };
    std::array<Run, 512> list_{};
    usize runs_ = 0;
    u64 next_ = 0;
};

constinit PhysicalMap memory;

void allocate_kernel_area(Domain& d, u64 pages) {
    // One piece, because the loader writes segments in one piece each.
    const unsigned order = static_cast<unsigned>(std::bit_width(pages - 1));
    const Result<Mfn> start = allocate_domain_pages(d, order);
    if (!start) panic("dom0: no {} MiB of memory in one piece for its kernel; give the machine more memory", pages >> 8);
    memory.add_run(*start, pages);
}

// The initrd's own frames become dom0's: nothing is copied.
void take_initrd(Domain& d, const BootModule& initrd) {
    const u64 pages = align_up(initrd.bytes, page_size) >> page_shift;
    const Mfn start = mfn_of(initrd.start);
    for (u64 i = 0; i < pages; ++i) give_frame_to(*find_page(start + i), d);
    d.total_pages.fetch_add(pages);
    memory.add_run(start, pages);
}

void fill_up(Domain& d, u64 target) {
    for (unsigned order = FrameAllocator::max_order;;) {
        const u64 left = target > memory.pages() ? target - memory.pages() : 0;
        if (left == 0) return;
        while ((u64{1} << order) > left) --order;
        const Result<Mfn> run = allocate_domain_pages(d, order);
        if (run) {
            memory.add_run(*run, u64{1} << order);
        } else if (order-- == 0) {
            panic("dom0: memory ran out {} MiB short of dom0_mem; use a smaller dom0_mem", left >> 8);
        }
    }
}

void write_m2p() {
    memory.for_each_run([](u64 pfn, Mfn mfn, u64 count) {
        for (u64 i = 0; i < count; ++i) port::set_m2p(mfn + i, pfn + i);
    });
}

u64* table_at(u64 pfn) { return pv::table_of(memory.at(pfn)); }

// Builds page tables out of dom0's own pages; tables are taken from `next` on.
class TableBuilder {
   public:
    TableBuilder(u64 root_pfn, u64 next) : root_(root_pfn), next_(next) { clear(root_pfn); }

    void map(u64 va, Mfn mfn, bool writable) {
        u64* table = table_at(root_);
        for (unsigned level = 4; level > 1; --level) {
            u64& entry = table[pv::index_of(va, level)];
            if (!pv::is_present(entry)) {
                clear(next_);
                entry = maddr_of(memory.at(next_++)).raw | bits;
            }
            table = pv::table_of(pv::frame_of(entry));
        }
        table[pv::index_of(va, 1)] = maddr_of(mfn).raw | (writable ? bits : bits & ~pv::bits::writable);
    }
    void set_next(u64 pfn) { next_ = pfn; }
    u64 next() const { return next_; }

   private:
    static constexpr u64 bits = pv::bits::present | pv::bits::writable | pv::bits::user | pv::bits::accessed | pv::bits::dirty;
    static void clear(u64 pfn) { std::fill_n(table_at(pfn), 512, u64{0}); }

    u64 root_;
    u64 next_;
};

void map_kernel(TableBuilder& tables, const Layout& l) {
    for (u64 pfn = 0; pfn < l.end_pfn; ++pfn) {
        const bool is_table = pfn >= l.tables_pfn && pfn < l.tables_pfn + l.table_count;
        tables.map(l.virt_base + (pfn << page_shift), memory.at(pfn), !is_table);
    }
    if (tables.next() > l.tables_pfn + l.table_count) panic("dom0: its first page tables were miscounted");
}

void map_p2m(TableBuilder& tables, const Layout& l, u64 pages) {
    tables.set_next(l.p2m_pfn + l.p2m_pages);
    for (u64 i = 0; i < l.p2m_pages; ++i) tables.map(l.p2m_va + (i << page_shift), memory.at(l.p2m_pfn + i), true);
    for (u64 i = 0; i < l.p2m_pages; ++i) {
        u64* out = table_at(l.p2m_pfn + i);
        for (u64 k = 0; k < 512; ++k) out[k] = i * 512 + k < pages ? memory.at(i * 512 + k).raw : ~u64{0};
    }
}

// dom0 enters with this page-table root, pinned as its kernel expects to unpin it.
void adopt_root(Domain& d, Vcpu& v, Mfn root) {
    PageInfo& page = *find_page(root);
    for (int holds = 0; holds < 2; ++holds) {  // the pin's, the vCPU's
        if (!get_reference(page, d.id)) panic("dom0: its page-table root is not its own");
        if (const Result<> r = get_type_use(page, PageType::l4); !r)
            panic("dom0: its first page tables are not valid (error {})", static_cast<int>(r.error()));
    }
    page.fetch_or(PageState::pinned_bit);
    v.arch->kernel_root = maddr_of(root).raw;
}

void set_registers(Vcpu& v, const Layout& l, u64 entry) {
    Frame& f = v.arch->guest;
    f.rip = entry;
    f.rsp = l.virt_base + ((l.stack_pfn + 1) << page_shift);
    f.rsi = l.virt_base + (l.start_info_pfn << page_shift);
    f.cs = GUEST_CS64;
    f.ss = GUEST_DS;
    f.rflags = x86::rflags::interrupts | x86::rflags::always_one;
    v.arch->kernel_ss = GUEST_DS;
    v.arch->kernel_sp = f.rsp;
    v.arch->kernel_mode = 1;
}

}  // namespace

Domain& build(const UnpackedKernel& unpacked, const BootInfo& boot, const init::Options& options) {
    const auto elf = image::ElfImage::parse(unpacked.bytes);
    if (!elf) panic("dom0 kernel: {}", elf.error().what);
    const auto kernel = image::parse_pv_kernel(*elf);
    if (!kernel) panic("dom0 kernel: {}", kernel.error().what);
    const BootModule* initrd = boot.module_count > 1 ? &boot.modules[1] : nullptr;
    const u64 initrd_pages = initrd != nullptr ? align_up(initrd->bytes, page_size) >> page_shift : 0;

    const u64 pages = memory_pages(options, frames().free_frames() + initrd_pages);
    const Layout l = plan(*kernel, pages, initrd_pages);
    log::info("dom0: {} MiB of memory, kernel {:#x}-{:#x}, initrd {} KiB", pages >> 8, kernel->virt_base + kernel->kernel_start,
              kernel->virt_base + kernel->kernel_end, initrd != nullptr ? initrd->bytes / kib : 0);

    DomainSettings settings;
    settings.max_vcpus = vcpu_count(options, port::online_cpus());
    settings.max_pages = memory_limit(options);
    settings.is_hardware_domain = settings.is_control_domain = true;
    const Result<Domain*> made = create_domain(DomId(0), settings);
    if (!made) panic("dom0: cannot be created (error {})", static_cast<int>(made.error()));
    Domain& d = **made;

    allocate_kernel_area(d, l.end_pfn);
    if (initrd != nullptr) take_initrd(d, *initrd);
    // Rounding up the kernel's piece gave frames beyond it: they come next.
    const u64 piece = std::bit_ceil(l.end_pfn);
    if (piece > l.end_pfn) memory.add_run(memory.at(0) + l.end_pfn, piece - l.end_pfn);
    fill_up(d, pages);
    write_m2p();

    u8* base = static_cast<u8*>(layout::direct_map(maddr_of(memory.at(0))));
    const auto loaded = image::load_segments(*elf, *kernel, image::ContiguousMemory({base, l.end_pfn << page_shift}, 0));
    if (!loaded) panic("dom0 kernel: {}", loaded.error().what);

    TableBuilder tables(l.tables_pfn, l.tables_pfn + 1);
    map_kernel(tables, l);
    map_p2m(tables, l, memory.pages());
    fill_start_info(table_at(l.start_info_pfn), l, memory.pages(), d, boot);

    Vcpu& v = *d.vcpus[0];
    adopt_root(d, v, memory.at(l.tables_pfn));
    set_registers(v, l, kernel->entry);
    v.initialised = true;
    frames().add(mfn_of(unpacked.start), unpacked.size >> page_shift);
    return d;
}

}  // namespace xylem::dom0
