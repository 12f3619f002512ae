#!/bin/sh
# SPDX-License-Identifier: MIT
# Links the decompressors as the hypervisor does: freestanding, without the C library, no symbol may be missing. Prints the size that
# each library adds. Usage: image_link_test.sh [folder for the products]
set -eu
cd "$(dirname "$0")/../../../.."
out=${1:-$(mktemp -d)}
mkdir -p "$out"
cxx=${CXX:-clang++-19}
libraries=$(for l in lzma zstd z lz4; do $cxx -print-file-name=lib$l.a; done)
flags="-std=gnu++23 -O2 -ffreestanding -fno-builtin -fno-exceptions -fno-rtti -mno-red-zone -mno-mmx -mno-sse -mcmodel=kernel
  -ffunction-sections -fdata-sections -fno-strict-aliasing -D__XEN_TOOLS__ -I. -Iarch/x86"
cat >"$out/start.cpp" <<'START'
#include "base/panic.hpp"
#include "init/dom0/image/decompress.hpp"
#include "init/dom0/image/loader.hpp"
namespace std {
void __throw_out_of_range_fmt(const char*, ...) { __builtin_trap(); }
}
namespace xylem {
void panic_with(std::string_view) { __builtin_trap(); }
void bug_at(const char*, const char*, unsigned) { __builtin_trap(); }
}
using namespace xylem;
extern "C" int start(u8* bytes, usize size) {
    image::Scratch scratch({bytes, size});
    const auto payload = image::find_payload({bytes, size});
    if (!payload || image::scratch_bytes(*payload) > size) return 1;
    const auto out = image::unpack(*payload, {bytes, size}, scratch);
    if (!out) return 2;
    const auto elf = image::ElfImage::parse(*out);
    if (!elf) return 3;
    const auto kernel = image::parse_pv_kernel(*elf);
    if (!kernel) return 4;
    return image::load_segments(*elf, *kernel, image::ContiguousMemory({bytes, size}, kernel->kernel_start)) ? 0 : 5;
}
START
objects=
for source in init/dom0/image/*.cpp arch/x86/boot/libc_shim.cpp arch/x86/cpu/memory.cpp base/text/format.cpp "$out/start.cpp"; do
  object=$out/$(basename "$source" .cpp).o
  $cxx $flags -c "$source" -o "$object"
  objects="$objects $object"
done
ld.lld-19 -nostdlib -static --gc-sections --no-undefined -e start -Map "$out/map" -o "$out/linked" $objects $libraries
size "$out/linked"
# Columns of lld's map: VMA LMA Size Align In; inputs are named archive(member):(section).
awk 'BEGIN { for (i = 0; i < 16; i++) digit[substr("0123456789abcdef", i + 1, 1)] = i }
  match($5, /lib[a-z0-9]+\.a\(/) { n = 0; for (i = 1; i <= length($3); i++) n = n * 16 + digit[substr($3, i, 1)]
    name = substr($5, RSTART, RLENGTH - 1); bytes[name] += n; all += n }
  END { for (name in bytes) print name, bytes[name]; print "total", all; exit all > 350 * 1024 }' "$out/map"
