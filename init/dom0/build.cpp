// SPDX-License-Identifier: MIT
#include "init/dom0/build.hpp"

#include <algorithm>
#include <cstring>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/domain/create.hpp"
#include "core/mem/frames.hpp"
#include "core/port/machine.hpp"
#include "core/port/vcpu_state.hpp"
#include "core/sched/scheduler.hpp"
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

// The initrd's own frames become dom0's: nothing is copied.
void take_initrd(Domain& d, const BootModule& initrd) {
    const u64 pages = align_up(initrd.bytes, page_size) >> page_shift;
    const Mfn start = mfn_of(initrd.start);
    for (u64 i = 0; i < pages; ++i) give_frame_to(*find_page(start + i), d);
    d.total_pages.fetch_add(pages);
    memory.add_run(start, pages);
}

// Pages up to number `target`, in the largest pieces there are.
void fill_up(Domain& d, u64 target) {
    for (unsigned order = FrameAllocator::max_order;;) {
        const u64 left = target > memory.pages() ? target - memory.pages() : 0;
        if (left == 0) return;
        while ((u64{1} << order) > left) --order;
        const Result<Mfn> run = allocate_domain_pages(d, order, {.contents = Contents::as_they_are});
        if (run) {
            memory.add_run(*run, u64{1} << order);
        } else if (order-- == 0) {
            panic("dom0: memory ran out {} MiB short of what it is to have; use a smaller dom0_mem", (left >> 8) + 1);
        }
    }
}

// `from` null: zeroes.
void write_bytes(u64 paddr, const u8* from, u64 bytes) {
    while (bytes > 0) {
        const u64 offset = paddr & page_mask;
        const u64 n = std::min(bytes, page_size - offset);
        u8* to = static_cast<u8*>(layout::direct_map(maddr_of(memory.at(paddr >> page_shift)))) + offset;
        if (from != nullptr) {
            std::memcpy(to, from, n);
            from += n;
        } else {
            std::memset(to, 0, n);
        }
        paddr += n;
        bytes -= n;
    }
}

// The kernel's segments; its pages need not be neighbours in the machine.
void load_kernel(const image::ElfImage& elf, const image::PvKernel& kernel, u64 end_pfn) {
    elf.for_each_load([&](const image::Segment& s) {
        const u64 to = s.paddr - kernel.paddr_offset;
        const u64 end = end_pfn << page_shift;
        if (to > end || s.memsz > end - to) panic("dom0 kernel: one of its segments lies outside its own range of memory");
        const auto file = elf.file_part(s);
        write_bytes(to, file.data(), file.size());
        write_bytes(to + file.size(), nullptr, s.memsz - file.size());
    });
}

// Older kernels call through a page of theirs that is to be filled before their first instruction (note HYPERCALL_PAGE).
void fill_hypercall_page(const image::PvKernel& kernel) {
    if (!kernel.hypercall_page) return;
    const u64 pfn = (*kernel.hypercall_page - kernel.virt_base) >> page_shift;
    port::write_hypercall_page(layout::direct_map(maddr_of(memory.at(pfn))));
}

void write_m2p() {
    memory.for_each_run([](u64 pfn, Mfn mfn, u64 count) {
        for (u64 i = 0; i < count; ++i) port::set_m2p(mfn + i, pfn + i);
    });
}

u64* table_at(u64 pfn) {
    return pv::table_of(memory.at(pfn));
}

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
        if (const Result<> r = get_typed(&page, d.id, PageType::l4); !r)
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

// Each vCPU to one CPU; xl shows and changes it as any affinity.
void pin_vcpus(Domain& d) {
    for (u32 i = 0; i < d.max_vcpus; ++i) {
        sched::CpuMask one;
        one.set(CpuId(i % port::online_cpus()));
        (void)sched::set_affinity(*d.vcpus[i], one, sched::CpuMask::all());  // refused only without an online CPU in the mask
    }
}

}  // namespace

Domain& build(const UnpackedKernel& unpacked, const BootInfo& boot, const init::Options& options) {
    const auto elf = image::ElfImage::parse(unpacked.bytes);
    if (!elf) panic("dom0 kernel: {}", elf.error().what);
    const auto kernel = image::parse_pv_kernel(*elf);
    if (!kernel) panic("dom0 kernel: {}", kernel.error().what);
    const BootModule* initrd = boot.module_count > 1 ? &boot.modules[1] : nullptr;
    const u64 initrd_pages = initrd != nullptr ? align_up(initrd->bytes, page_size) >> page_shift : 0;

    const u64 unpacked_pages = unpacked.size >> page_shift;  // free once the kernel is in its place
    const u64 pages = memory_pages(options, frames().free_frames() + initrd_pages + unpacked_pages);
    const Layout l = plan(*kernel, pages, initrd_pages);
    log::info("dom0: {} MiB of memory, kernel {:#x}-{:#x}, initrd {} KiB", pages >> 8, kernel->virt_base + kernel->kernel_start,
              kernel->virt_base + kernel->kernel_end, initrd != nullptr ? initrd->bytes / kib : 0);

    DomainSettings settings;
    settings.max_vcpus = vcpu_count(options, port::online_cpus());
    settings.max_pages = memory_limit(options);
    settings.grants.max_frames = options.gnttab_max_frames;
    settings.grants.max_maptrack_frames = options.gnttab_max_maptrack_frames;
    settings.is_hardware_domain = settings.is_control_domain = true;
    const Result<Domain*> made = create_domain(DomId(0), settings);
    if (!made) panic("dom0: cannot be created (error {})", static_cast<int>(made.error()));
    Domain& d = **made;
    if (options.dom0_vcpus_pin) pin_vcpus(d);

    fill_up(d, l.end_pfn);
    load_kernel(*elf, *kernel, l.end_pfn);
    fill_hypercall_page(*kernel);
    frames().add(mfn_of(unpacked.start), unpacked_pages);
    if (initrd != nullptr) take_initrd(d, *initrd);
    fill_up(d, pages);
    write_m2p();

    TableBuilder tables(l.tables_pfn, l.tables_pfn + 1);
    map_kernel(tables, l);
    map_p2m(tables, l, memory.pages());
    fill_start_info(table_at(l.start_info_pfn), l, memory.pages(), d, boot, options.dom0_arguments);

    Vcpu& v = *d.vcpus[0];
    adopt_root(d, v, memory.at(l.tables_pfn));
    set_registers(v, l, kernel->entry);
    v.setup = Setup::done;
    return d;
}

}  // namespace xylem::dom0
