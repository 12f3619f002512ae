// SPDX-License-Identifier: MIT
// xen_version and console_io [ABI.md 4.1, 4.2].
#include "core/domain/version.hpp"

#include <algorithm>

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "core/console/console.hpp"
#include "core/domain/domain.hpp"
#include "core/port/guest.hpp"
#include "init/hypervisor.hpp"

namespace xylem::pv {
namespace {

// Copies text into a fixed field, always terminated.
template <usize N>
void set_text(char (&to)[N], std::string_view text) {
    const usize n = std::min(text.size(), N - 1);
    std::copy_n(text.data(), n, to);
    std::fill_n(to + n, N - n, '\0');
}

template <class T>
long answer(u64 arg, const T& value) {
    const Result<> r = GuestPtr<T>(arg).write(value);
    return r ? 0 : to_hypercall_result(r.error());
}

long features(const Domain& d, u64 arg) {
    const GuestPtr<xen_feature_info> at(arg);
    const Result<xen_feature_info> in = at.read();
    if (!in) return to_hypercall_result(in.error());
    if (in->submap_idx != 0) return -static_cast<long>(XEN_EINVAL);
    xen_feature_info out = *in;
    out.submap = (1U << XENFEAT_pae_pgdir_above_4gb) | (1U << XENFEAT_mmu_pt_update_preserve_ad) |
                 (1U << XENFEAT_highmem_assist) | (1U << XENFEAT_gnttab_map_avail_bits) |
                 (1U << XENFEAT_memory_op_vnode_supported) | (1U << XENFEAT_direct_mapped);
    if (d.is_hardware_domain) out.submap |= 1U << XENFEAT_dom0;
    return answer(arg, out);
}

long compile_info(u64 arg) {
    xen_compile_info info{};
    set_text(info.compiler, __VERSION__);
    set_text(info.compile_by, "xylem");
    set_text(info.compile_domain, "xylem");
    set_text(info.compile_date, "");
    return answer(arg, info);
}

long capabilities(u64 arg) {
    xen_capabilities_info_t text{};
    set_text(text, "xen-3.0-x86_64 ");
    return GuestPtr<char>(arg).write_many(text, sizeof text) ? 0 : -static_cast<long>(XEN_EFAULT);
}

template <usize N>
long text_answer(u64 arg, std::string_view text) {
    char out[N];
    set_text(out, text);
    return GuestPtr<char>(arg).write_many(out, N) ? 0 : -static_cast<long>(XEN_EFAULT);
}

long build_id_answer(u64 arg) {
    const auto id = build_id();
    if (id.empty()) return -static_cast<long>(XEN_ENODATA);
    if (arg == 0) return static_cast<long>(id.size());
    const Result<xen_build_id> room = GuestPtr<xen_build_id>(arg).read();
    if (!room) return to_hypercall_result(room.error());
    if (room->len == 0) return -static_cast<long>(XEN_EINVAL);
    if (room->len < id.size()) return -static_cast<long>(XEN_ENOBUFS);
    const GuestPtr<u8> at(arg + offsetof(xen_build_id, buf));
    if (!at.write_many(id.data(), id.size())) return -static_cast<long>(XEN_EFAULT);
    return static_cast<long>(id.size());
}

}  // namespace

long hypercall_xen_version(u64 command, u64 arg, u64, u64, u64, u64) {
    if (command == XENVER_version) [[likely]]
        return interface_version;
    const Domain& d = current_arch().vcpu->domain;
    const bool trusted = d.is_control_domain;
    switch (command) {
        case XENVER_extraversion: return text_answer<16>(arg, ".7");
        case XENVER_compile_info: return compile_info(arg);
        case XENVER_capabilities: return capabilities(arg);
        case XENVER_changeset: return text_answer<64>(arg, trusted ? "Xylem" : "<denied>");
        case XENVER_platform_parameters: return answer(arg, xen_platform_parameters{layout::hypervisor_start});
        case XENVER_get_features: return features(d, arg);
        case XENVER_pagesize: return arg == 0 ? static_cast<long>(page_size) : -static_cast<long>(XEN_EINVAL);
        case XENVER_guest_handle:
            return GuestPtr<u8>(arg).write_many(d.handle, sizeof d.handle) ? 0 : -static_cast<long>(XEN_EFAULT);
        case XENVER_commandline: return text_answer<1024>(arg, trusted ? command_line() : "<denied>");
        case XENVER_build_id: return trusted ? build_id_answer(arg) : -static_cast<long>(XEN_EPERM);
        default: return -static_cast<long>(XEN_ENOSYS);
    }
}

long hypercall_console_io(u64 command, u64 count, u64 buffer, u64, u64, u64) {
    Domain& d = current_arch().vcpu->domain;
    if (!d.is_control_domain) return -static_cast<long>(XEN_EPERM);
    char chunk[128];
    const u32 total = static_cast<u32>(count);
    const GuestPtr<char> text(buffer);
    auto& console = console::the_console();
    if (command == CONSOLEIO_write) {
        for (u32 done = 0; done < total;) {
            const u32 n = std::min<u32>(total - done, sizeof chunk);
            if (!text.element(done).read_many(chunk, n)) return -static_cast<long>(XEN_EFAULT);
            console.write_dom0({chunk, n});
            done += n;
        }
        return 0;
    }
    if (command != CONSOLEIO_read) return -static_cast<long>(XEN_ENOSYS);
    u32 done = 0;
    while (done < total) {
        const usize n = console.read_input(std::span(chunk).first(std::min<usize>(total - done, sizeof chunk)));
        if (n == 0) break;
        if (!text.element(done).write_many(chunk, n)) return -static_cast<long>(XEN_EFAULT);
        done += static_cast<u32>(n);
    }
    return static_cast<long>(done);
}

}  // namespace xylem::pv
