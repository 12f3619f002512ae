// SPDX-License-Identifier: MIT
#include "init/dom0/start_info.hpp"

#include <algorithm>
#include <cstring>

#include "base/log.hpp"
#include "cpu/layout.hpp"

namespace xylem::dom0 {
namespace {

// The kernel module's own string, then what followed "--" on the hypervisor's.
void fill_command_line(std::span<char> to, std::string_view own, std::string_view further) {
    usize used = 0;
    bool cut = false;
    const auto add = [&](std::string_view text) {
        const usize n = std::min(text.size(), to.size() - 1 - used);
        std::memcpy(to.data() + used, text.data(), n);
        used += n;
        cut |= n < text.size();
    };
    add(own);
    if (!own.empty() && !further.empty()) add(" ");
    add(further);
    to[used] = '\0';
    if (cut) log::warning("dom0: its kernel's command line is cut after {} characters", used);
}

void fill_vga(dom0_vga_console_info& vga, const Framebuffer& f) {
    if (!f.present || f.text) {
        // A PC that boots by BIOS shows text; loaders that say so count in characters.
        constexpr u16 columns = 80;
        constexpr u16 rows = 25;
        vga.video_type = XEN_VGATYPE_TEXT_MODE_3;
        auto& t = vga.u.text_mode_3;
        t.font_height = 16;
        t.rows = f.present && f.height != 0 ? static_cast<u16>(f.height) : rows;
        t.columns = f.present && f.width != 0 ? static_cast<u16>(f.width) : columns;
        t.cursor_y = static_cast<u16>(t.rows - 1);
        return;
    }
    vga.video_type = XEN_VGATYPE_VESA_LFB;
    auto& l = vga.u.vesa_lfb;
    l.width = static_cast<u16>(f.width);
    l.height = static_cast<u16>(f.height);
    l.bytes_per_line = static_cast<u16>(f.pitch);
    l.bits_per_pixel = f.bits_per_pixel;
    l.lfb_base = static_cast<u32>(f.address);
    l.ext_lfb_base = static_cast<u32>(f.address >> 32);
    l.lfb_size = static_cast<u32>((u64{f.pitch} * f.height + 0xffff) >> 16);
    l.red_pos = f.red_position;
    l.red_size = f.red_size;
    l.green_pos = f.green_position;
    l.green_size = f.green_size;
    l.blue_pos = f.blue_position;
    l.blue_size = f.blue_size;
}

}  // namespace

void fill_start_info(void* page, const Layout& l, u64 pages, const Domain& d, const BootInfo& boot,
                     std::string_view further_arguments) {
    std::memset(page, 0, page_size);
    start_info_t& s = *static_cast<start_info_t*>(page);
    constexpr std::string_view magic = "xen-3.0-x86_64p";
    std::memcpy(s.magic, magic.data(), magic.size());
    s.nr_pages = pages;
    s.shared_info = maddr_of(d.shared_mfn).raw;
    s.flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    s.pt_base = l.virt_base + (l.tables_pfn << page_shift);
    s.nr_pt_frames = l.table_count;
    s.mfn_list = l.p2m_va;
    s.first_p2m_pfn = l.p2m_pfn;
    s.nr_p2m_frames = l.p2m_pages + l.p2m_table_pages;
    if (l.initrd_pages != 0) {
        s.flags |= SIF_MOD_START_PFN;
        s.mod_start = l.initrd_pfn;
        s.mod_len = boot.modules[1].bytes;
    }
    fill_command_line({reinterpret_cast<char*>(s.cmd_line), MAX_GUEST_CMDLINE},
                      boot.without_file_name(boot.modules[0].command_line), further_arguments);
    constexpr u32 vga_offset = align_up(u32{sizeof(start_info_t)}, 8U);
    // Nothing to show where the firmware is EFI and the loader set no graphics mode.
    if (boot.efi_system_table != 0 && (!boot.framebuffer.present || boot.framebuffer.text)) return;
    fill_vga(*reinterpret_cast<dom0_vga_console_info*>(static_cast<u8*>(page) + vga_offset), boot.framebuffer);
    s.console.dom0.info_off = vga_offset;
    s.console.dom0.info_size = sizeof(dom0_vga_console_info);
}

}  // namespace xylem::dom0
