// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "init/dom0/image/loader.hpp"
#include "tests/unit/init/dom0/image_kernel.hpp"

namespace xylem::image::testing {
namespace {

ImageFault elf_fault(const Bytes& bytes) {
    const auto elf = ElfImage::parse(bytes);
    EXPECT_FALSE(elf);
    return elf ? ImageFault{} : elf.error().fault;
}

// The sentence with which a kernel is refused; empty if it is not.
std::string refusal(const KernelMaker& maker) {
    const Bytes bytes = maker.build();
    const auto elf = ElfImage::parse(bytes);
    if (!elf) return elf.error().what;
    const auto kernel = parse_pv_kernel(*elf);
    return kernel ? "" : kernel.error().what;
}
KernelMaker with(u32 type, const Bytes& description) {
    KernelMaker m;
    add_note(m.extra, type, description);
    return m;
}
bool says(const std::string& sentence, const char* word) {
    return sentence.find(word) != std::string::npos;
}

TEST(ImageElf, LinuxLikeNotes) {
    const Bytes bytes = KernelMaker{}.build();
    const auto elf = ElfImage::parse(bytes);
    ASSERT_TRUE(elf) << elf.error().what;
    const auto k = parse_pv_kernel(*elf);
    ASSERT_TRUE(k) << k.error().what;
    EXPECT_EQ(k->entry, 0xffff'ffff'8100'0040);
    EXPECT_EQ(k->virt_base, 0xffff'ffff'8000'0000);
    EXPECT_EQ(k->kernel_start, 16 * mib);
    EXPECT_EQ(k->kernel_end, 17 * mib + 9000);
    EXPECT_EQ(k->init_p2m, 0x80'0000'0000u);
    EXPECT_FALSE(k->hypercall_page);
    EXPECT_EQ(k->hv_start_low, 0xffff'8000'0000'0000);
    EXPECT_EQ(k->l1_mfn_valid_mask, 1u);
    EXPECT_EQ(k->l1_mfn_valid_value, 1u);
    EXPECT_TRUE(k->mod_start_pfn);
    EXPECT_TRUE(k->pae);
    EXPECT_FALSE(k->suspend_cancel);
    EXPECT_EQ(k->guest_os, "linux");
    EXPECT_EQ(k->required_features, 1u << XENFEAT_writable_page_tables);
    EXPECT_EQ(k->supported_features, 0x8801u | 1u << XENFEAT_pae_pgdir_above_4gb);
}

TEST(ImageElf, NotesOfASection) {
    KernelMaker m;
    m.notes_in_section = true;
    EXPECT_EQ(refusal(m), "");
}

TEST(ImageElf, SegmentsAreLoadedAndTailsZeroed) {
    KernelMaker m;
    add_note(m.extra, XEN_ELFNOTE_PADDR_OFFSET, number(16 * mib));
    m.virt_base = 0xffff'ffff'8100'0000;
    const Bytes bytes = m.build();
    const auto elf = ElfImage::parse(bytes);
    ASSERT_TRUE(elf);
    const auto k = parse_pv_kernel(*elf);
    ASSERT_TRUE(k) << k.error().what;
    EXPECT_EQ(k->kernel_start, 0u);
    Bytes memory(k->kernel_end, 0xee);
    ASSERT_TRUE(load_segments(*elf, *k, ContiguousMemory(memory, 0)));
    EXPECT_EQ(0, std::memcmp(memory.data(), bytes.data() + 0x1000, m.text_size));
    EXPECT_EQ(memory[m.text_size], 0xee);
    EXPECT_EQ(0, std::memcmp(memory.data() + mib, bytes.data() + 0x1000 + m.text_size, 100));
    EXPECT_EQ(memory[mib + 100], 0);
    EXPECT_EQ(memory.back(), 0);

    const auto refused = load_segments(*elf, *k, ContiguousMemory(std::span(memory).first(memory.size() - 1), 0));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().fault, ImageFault::no_memory);
}

TEST(ImageElf, HeaderFaultsAreToldApart) {
    const KernelMaker good;
    ASSERT_TRUE(ElfImage::parse(good.build()));
    EXPECT_EQ(elf_fault(code_like(100)), ImageFault::not_a_kernel);
    EXPECT_EQ(elf_fault({0x7f, 'E', 'L', 'F', 2, 1, 1}), ImageFault::truncated);
    auto broken = [&](auto change) {
        KernelMaker m;
        change(m);
        return elf_fault(m.build());
    };
    EXPECT_EQ(broken([](auto& m) { m.header.ident[4] = 1; }), ImageFault::unsupported);
    EXPECT_EQ(broken([](auto& m) { m.header.ident[5] = 2; }), ImageFault::unsupported);
    EXPECT_EQ(broken([](auto& m) { m.header.version = 2; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.header.machine = 183; }), ImageFault::not_a_kernel);
    EXPECT_EQ(broken([](auto& m) { m.header.type = 1; }), ImageFault::not_a_kernel);
    EXPECT_EQ(broken([](auto& m) { m.header.phentsize = 32; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.header.phnum = 0; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.header.phnum = 0xffff; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.header.phoff = ~u64{0} - 10; }), ImageFault::truncated);
    EXPECT_EQ(broken([](auto& m) { m.data_segment.memsz = 50; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.data_segment.paddr = ~u64{0} - 100; }), ImageFault::corrupt);
    EXPECT_EQ(broken([](auto& m) { m.data_segment.paddr = 16 * mib + 100; }), ImageFault::contradictory);
    EXPECT_EQ(broken([](auto& m) { m.text_segment.type = m.data_segment.type = 7; }), ImageFault::corrupt);
    const Bytes whole = good.build();
    EXPECT_EQ(elf_fault(Bytes(whole.begin(), whole.begin() + 0x1100)), ImageFault::truncated);
}

TEST(ImageElf, NotAPvKernel) {
    KernelMaker m;
    m.with_entry = false;
    EXPECT_TRUE(says(refusal(m), "ENTRY"));
    m = {};
    m.with_base = false;
    EXPECT_TRUE(says(refusal(m), "VIRT_BASE"));
    m = {};
    m.version = "xen-2.0";
    EXPECT_TRUE(says(refusal(m), "XEN_VERSION"));
    m = {};
    m.header.phnum = 2;
    EXPECT_TRUE(says(refusal(m), "no Xen ELF notes"));
}

TEST(ImageElf, ContradictionsAreNamed) {
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_ENTRY, number(0xffff'ffff'8000'0000))), "ENTRY"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_VIRT_BASE, number(0x0001'0000'0000'0000))), "canonical"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_VIRT_BASE, number(0xffff'8000'0000'0000))), "hypervisor's address range"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_VIRT_BASE, number(0xffff'87ff'ffff'f000))), "hypervisor's address range"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_VIRT_BASE, number(0xffff'ffff'ff00'0000))), "leaves the addresses"));  // wraps
    EXPECT_TRUE(
        says(refusal(with(XEN_ELFNOTE_VIRT_BASE, number(0x0000'7fff'fff0'0000))), "leaves the addresses"));  // runs into it
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_PADDR_OFFSET, number(20 * mib))), "PADDR_OFFSET"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_HYPERCALL_PAGE, number(0xffff'ffff'8100'0010))), "page boundary"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_HYPERCALL_PAGE, number(0xffff'ffff'9000'0000))), "outside its image"));
    EXPECT_EQ(refusal(with(XEN_ELFNOTE_HYPERCALL_PAGE, number(0xffff'ffff'8100'0000))), "");
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_INIT_P2M, number(0xffff'8100'0000'0000))), "INIT_P2M"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_INIT_P2M, number(123))), "INIT_P2M"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_HV_START_LOW, number(0xffff'8800'0000'0000))), "HV_START_LOW"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_FEATURES, text("dom0|!warp_drive"))), "unknown to us"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_FEATURES, text("!auto_translated_physmap"))), "do not have"));
    EXPECT_EQ(refusal(with(XEN_ELFNOTE_FEATURES, text("|||!dom0|"))), "");
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_ENTRY, {1, 2, 3})), "neither 4 nor 8"));
    EXPECT_TRUE(says(refusal(with(XEN_ELFNOTE_L1_MFN_VALID, {1, 0, 0, 0})), "neither 4 nor 8"));
}

TEST(ImageElf, ANoteThatLeavesItsSegment) {
    KernelMaker m;
    append(m.extra, boot::elf::NoteHeader{4, 1000, 1});
    EXPECT_TRUE(says(refusal(m), "leaves its segment"));
    m = {};
    append(m.extra, boot::elf::NoteHeader{0xffff'ffff, 0xffff'ffff, 1});
    EXPECT_TRUE(says(refusal(m), "leaves its segment"));
    m = {};
    m.extra = {1, 2, 3, 4};
    EXPECT_TRUE(says(refusal(m), "leaves its segment"));
}

}  // namespace
}  // namespace xylem::image::testing
