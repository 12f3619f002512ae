// SPDX-License-Identifier: MIT
#include "init/dom0/unpack.hpp"

#include "arch/x86/entry/patch.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"
#include "hw/x86/registers.hpp"
#include "init/dom0/image/bzimage.hpp"
#include "init/dom0/image/decompress.hpp"

// What the libraries want run before they are used.
extern "C" void (*const init_array_begin[])();
extern "C" void (*const init_array_end[])();

namespace xylem::dom0 {
namespace {

struct Job {
    const image::Payload& payload;
    u64 scratch_bytes = 0;
    std::span<u8> out{};
    std::span<u8> scratch{};
    image::ImageResult<std::span<u8>> result = std::span<u8>{};
};

void measure(void* job) {
    Job& j = *static_cast<Job*>(job);
    j.scratch_bytes = image::scratch_bytes(j.payload);
}
void unpack(void* job) {
    Job& j = *static_cast<Job*>(job);
    image::Scratch scratch(j.scratch);
    j.result = image::unpack(j.payload, j.out, scratch);
}

// The libraries are ordinary programs' code: SSE, and a stack-protector word at %fs:0x28 (decompress.hpp).
void prepare_cpu_for_libraries() {
    alignas(64) static constinit u64 thread_block[16]{};
    cpu::write_cr0((cpu::read_cr0() | x86::cr0::mp) & ~(x86::cr0::em | x86::cr0::ts));
    cpu::write_cr4(cpu::read_cr4() | x86::cr4::osfxsr | x86::cr4::osxmmexcpt);
    cpu::wrmsr(x86::msr::fs_base, reinterpret_cast<u64>(thread_block));
    cpu::fninit();
    for (auto f = init_array_begin; f != init_array_end; ++f) (*f)();
}

std::span<u8> bytes_at(Maddr start, u64 bytes) {
    return {static_cast<u8*>(layout::direct_map(start)), bytes};
}

}  // namespace

UnpackedKernel unpack_kernel(const BootModule& module, EarlyMemory& memory) {
    const auto payload = image::find_payload(bytes_at(module.start, module.bytes));
    if (!payload) panic("dom0 kernel (\"{}\"): {}", module.command_line, payload.error().what);
    log::info("unpacking dom0's kernel: {} KiB to {} KiB", module.bytes / kib, payload->unpacked_size / kib);
    prepare_cpu_for_libraries();
    Job job{*payload};
    call_on_aligned_stack(measure, &job);
    // Unpacked kernel and scratch in one piece, given back when dom0 is built.
    const u64 room = align_up(payload->unpacked_size, page_size);
    const u64 scratch = align_up(job.scratch_bytes, page_size);
    UnpackedKernel kernel;
    kernel.size = room + scratch;
    kernel.start = memory.allocate(kernel.size, page_size, 4 * gib);
    job.out = bytes_at(kernel.start, room);
    job.scratch = bytes_at(kernel.start + room, scratch);
    call_on_aligned_stack(unpack, &job);
    if (!job.result) panic("dom0 kernel (\"{}\"): {}", module.command_line, job.result.error().what);
    kernel.bytes = *job.result;
    return kernel;
}

}  // namespace xylem::dom0
