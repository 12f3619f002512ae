// SPDX-License-Identifier: MIT
#include "init/dom0/image/notes.hpp"

#include <algorithm>

#include "abi/elfnote.hpp"

namespace xylem::image {
namespace {

using enum ImageFault;

// Where no guest may live [ABI.md 1.5]: PML4 slots 256..271.
constexpr u64 hypervisor_start = 0xffff'8000'0000'0000;
constexpr u64 hypervisor_end = 0xffff'8800'0000'0000;

constexpr bool is_canonical(u64 va) {
    return va < u64{1} << 47 || va >= hypervisor_start;
}
// True where [from, to] is canonical, ascending and free of the hypervisor's range.
constexpr bool guest_may_have(u64 from, u64 to) {
    return from <= to && is_canonical(from) && is_canonical(to) && (to < hypervisor_start || from >= hypervisor_end);
}

struct FeatureName {
    std::string_view name;
    unsigned bit;
};
constexpr FeatureName feature_names[] = {
    {"writable_page_tables", XENFEAT_writable_page_tables},
    {"writable_descriptor_tables", XENFEAT_writable_descriptor_tables},
    {"auto_translated_physmap", XENFEAT_auto_translated_physmap},
    {"supervisor_mode_kernel", XENFEAT_supervisor_mode_kernel},
    {"pae_pgdir_above_4gb", XENFEAT_pae_pgdir_above_4gb},
    {"mmu_pt_update_preserve_ad", XENFEAT_mmu_pt_update_preserve_ad},
    {"highmem_assist", XENFEAT_highmem_assist},
    {"gnttab_map_avail_bits", XENFEAT_gnttab_map_avail_bits},
    {"hvm_callback_vector", XENFEAT_hvm_callback_vector},
    {"hvm_safe_pvclock", XENFEAT_hvm_safe_pvclock},
    {"hvm_pirqs", XENFEAT_hvm_pirqs},
    {"dom0", XENFEAT_dom0},
    {"memory_op_vnode_supported", XENFEAT_memory_op_vnode_supported},
    {"linux_rsdp_unrestricted", XENFEAT_linux_rsdp_unrestricted},
};
// A PV guest that insists on one of these cannot run. writable_page_tables is not among them: Linux names it with "!", and both
// real Xen and we give it by emulating the writes.
constexpr u32 impossible_features = 1u << XENFEAT_auto_translated_physmap | 1u << XENFEAT_supervisor_mode_kernel |
                                    1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock | 1u << XENFEAT_hvm_pirqs;

ImageResult<u64> number(const Note& note, usize at = 0) {
    const auto d = note.description.subspan(std::min(at, note.description.size()));
    if (d.size() == sizeof(u32)) return read_at<u32>(d, 0);
    if (d.size() >= sizeof(u64)) return read_at<u64>(d, 0);
    return image_fail(corrupt, "a Xen ELF note that should be a number is neither 4 nor 8 bytes long");
}

// Up to the first zero byte, or the whole note.
std::string_view text_of(const Note& note) {
    const std::string_view all(reinterpret_cast<const char*>(note.description.data()), note.description.size());
    return all.substr(0, all.find('\0'));
}

ImageResult<> parse_features(std::string_view list, PvKernel& kernel) {
    while (!list.empty()) {
        const usize end = std::min(list.find('|'), list.size());
        std::string_view word = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        const bool required = word.starts_with('!');
        if (required) word.remove_prefix(1);
        const auto* const known = std::find_if(std::begin(feature_names), std::end(feature_names),
                                               [word](const FeatureName& f) { return f.name == word; });
        if (known == std::end(feature_names)) {
            if (required) return image_fail(unsupported, "the kernel requires a Xen feature that is unknown to us");
            continue;
        }
        kernel.supported_features |= 1u << known->bit;
        if (required) kernel.required_features |= 1u << known->bit;
    }
    return {};
}

// What was said, before it is known whether it fits together.
struct Collected {
    PvKernel kernel;
    std::optional<u64> entry, virt_base, hv_start_low;
    bool version_matches = true;
    bool any = false;
};

ImageResult<> take_text(const Note& note, Collected& c) {
    const std::string_view text = text_of(note);
    switch (note.type) {
        case XEN_ELFNOTE_XEN_VERSION: c.version_matches = text == "xen-3.0"; break;
        case XEN_ELFNOTE_GUEST_OS: c.kernel.guest_os = text; break;
        case XEN_ELFNOTE_GUEST_VERSION: c.kernel.guest_version = text; break;
        case XEN_ELFNOTE_LOADER: c.kernel.loader = text; break;
        case XEN_ELFNOTE_PAE_MODE: c.kernel.pae = text.starts_with("yes") || text.starts_with("bimodal"); break;
        case XEN_ELFNOTE_FEATURES: return parse_features(text, c.kernel);
        default: break;
    }
    return {};
}

ImageResult<> take(const Note& note, Collected& c) {
    if (note.owner != "Xen") return {};
    c.any = true;
    PvKernel& k = c.kernel;
    switch (note.type) {
        case XEN_ELFNOTE_ENTRY: c.entry = TRY(number(note)); break;
        case XEN_ELFNOTE_VIRT_BASE: c.virt_base = TRY(number(note)); break;
        case XEN_ELFNOTE_PADDR_OFFSET: k.paddr_offset = TRY(number(note)); break;
        case XEN_ELFNOTE_HYPERCALL_PAGE: k.hypercall_page = TRY(number(note)); break;
        case XEN_ELFNOTE_INIT_P2M: k.init_p2m = TRY(number(note)); break;
        case XEN_ELFNOTE_PHYS32_ENTRY: k.phys32_entry = TRY(number(note)); break;
        case XEN_ELFNOTE_HV_START_LOW: c.hv_start_low = TRY(number(note)); break;
        case XEN_ELFNOTE_MOD_START_PFN: k.mod_start_pfn = TRY(number(note)) != 0; break;
        case XEN_ELFNOTE_SUSPEND_CANCEL: k.suspend_cancel = TRY(number(note)) != 0; break;
        case XEN_ELFNOTE_SUPPORTED_FEATURES: k.supported_features |= static_cast<u32>(TRY(number(note))); break;
        case XEN_ELFNOTE_L1_MFN_VALID:
            k.l1_mfn_valid_mask = TRY(number(note));
            k.l1_mfn_valid_value = TRY(number(note, note.description.size() / 2));
            break;
        default: return take_text(note, c);
    }
    return {};
}

ImageResult<> check_addresses(const PvKernel& k) {
    if (!is_canonical(k.virt_base)) return image_fail(contradictory, "the kernel's VIRT_BASE is not a canonical address");
    if (k.virt_base >= hypervisor_start && k.virt_base < hypervisor_end)
        return image_fail(contradictory, "the kernel's VIRT_BASE lies in the hypervisor's address range");
    const u64 start = k.virt_base + k.kernel_start;  // both below 2^48 or canonical: a wrap shows as start > last
    const u64 last = k.virt_base + (k.kernel_end - 1);
    if (start < k.virt_base || !guest_may_have(start, last))
        return image_fail(contradictory, "the kernel at its VIRT_BASE leaves the addresses a guest may have");
    if (k.entry < start || k.entry > last) return image_fail(contradictory, "the kernel's ENTRY lies outside its image");
    if (k.hypercall_page) {
        if ((*k.hypercall_page & page_mask) != 0)
            return image_fail(contradictory, "the kernel's HYPERCALL_PAGE is not on a page boundary");
        if (*k.hypercall_page < start || *k.hypercall_page > last || last - *k.hypercall_page < page_mask)
            return image_fail(contradictory, "the kernel's HYPERCALL_PAGE lies outside its image");
    }
    if (k.init_p2m && ((*k.init_p2m & page_mask) != 0 || !guest_may_have(*k.init_p2m, *k.init_p2m)))
        return image_fail(contradictory, "the kernel's INIT_P2M is not a page a guest may have");
    return {};
}

ImageResult<> check_span(const ElfImage& elf, PvKernel& k) {
    if (elf.paddr_start() < k.paddr_offset)
        return image_fail(contradictory, "the kernel's PADDR_OFFSET is above its lowest segment");
    k.kernel_start = elf.paddr_start() - k.paddr_offset;
    k.kernel_end = elf.paddr_end() - k.paddr_offset;
    if (k.kernel_end - k.kernel_start > u64{1} << 30)
        return image_fail(unsupported, "the kernel spans more than 1 GiB of memory");
    return {};
}

}  // namespace

ImageResult<PvKernel> parse_pv_kernel(const ElfImage& elf) {
    Collected c;
    const auto visit = [&c](const Note& note) { return take(note, c); };
    TRY(elf.for_each_segment_note(visit));
    if (!c.any) TRY(elf.for_each_section_note(visit));  // kernels linked without a PT_NOTE
    if (!c.any) return image_fail(not_pv, "the kernel has no Xen ELF notes: it was built without Xen PV support");
    if (!c.version_matches) return image_fail(not_pv, "the kernel's XEN_VERSION note is not xen-3.0");
    if (!c.entry) return image_fail(not_pv, "the kernel has no ENTRY note: it cannot start as a PV guest");
    if (!c.virt_base) return image_fail(not_pv, "the kernel has no VIRT_BASE note: it cannot start as a PV guest");

    PvKernel& k = c.kernel;
    k.entry = *c.entry;
    k.virt_base = *c.virt_base;
    k.hv_start_low = c.hv_start_low.value_or(0);
    if (k.hv_start_low > hypervisor_start)
        return image_fail(contradictory, "the kernel's HV_START_LOW claims addresses of the hypervisor");
    if ((k.required_features & impossible_features) != 0)
        return image_fail(unsupported, "the kernel requires a Xen feature that PV guests do not have");
    TRY(check_span(elf, k));
    TRY(check_addresses(k));
    return k;
}

}  // namespace xylem::image
