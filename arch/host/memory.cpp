// SPDX-License-Identifier: MIT
#include "arch/host/memory.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "core/mem/frames.hpp"
#include "core/mem/pages.hpp"

namespace xylem::host {
namespace {

void* map(u64 bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) std::abort();
    return p;
}

}  // namespace

void start_memory(u64 machine_frames) {
    if (layout::host_ram != nullptr) return;
    layout::host_ram = static_cast<u8*>(map(machine_frames * page_size));
    // There is nothing in the direct map where there is no RAM: whoever looks has not checked.
    if (mprotect(layout::host_ram, first_free_frame * page_size, PROT_NONE) != 0) std::abort();
    layout::host_frame_table = static_cast<PageInfo*>(map(machine_frames * sizeof(PageInfo)));
    layout::host_m2p = static_cast<u64*>(map(machine_frames * sizeof(u64)));
    layout::host_frame_count = machine_frames;
    for (u64 i = 0; i < first_free_frame; ++i) {
        layout::host_frame_table[i].set_owner(domid_io);
        layout::host_frame_table[i].store({PageState::io_bit});
    }
    frames().add(Mfn(first_free_frame), machine_frames - first_free_frame);
}

}  // namespace xylem::host
