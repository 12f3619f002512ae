// SPDX-License-Identifier: MIT
// The C library as far as Debian's static liblzma, libzstd, libz and liblz4 ask for it at link time; hypervisor only.
// The libraries get all their memory from a Scratch through their own allocator hooks (init/dom0/image/decompress.cpp), so the
// allocation functions here have no memory to give: whoever calls them gets a clean "out of memory".
#include <stdlib.h>
#include <string.h>

#include "base/panic.hpp"
#include "base/types.hpp"

using xylem::usize;

extern "C" {

void ZSTDv05_findFrameSizeInfoLegacy(const void* in, size_t size, size_t* frame_size, unsigned long long* bound);
void ZSTDv06_findFrameSizeInfoLegacy(const void* in, size_t size, size_t* frame_size, unsigned long long* bound);
void ZSTDv07_findFrameSizeInfoLegacy(const void* in, size_t size, size_t* frame_size, unsigned long long* bound);
[[noreturn]] void __stack_chk_fail();
void* __memcpy_chk(void* to, const void* from, size_t size, size_t room);
void* __memmove_chk(void* to, const void* from, size_t size, size_t room);
void* __memset_chk(void* to, int value, size_t size, size_t room);
void __explicit_bzero_chk(void* to, size_t size, size_t room);

void* malloc(size_t) noexcept {
    return nullptr;
}
void* calloc(size_t, size_t) noexcept {
    return nullptr;
}
void free(void*) noexcept {}

void abort() noexcept {
    xylem::panic("a decompression library gave up");
}
void __stack_chk_fail() {
    xylem::panic("a decompression library overran its stack");
}

void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) {
    XYLEM_BUG_ON(size > room);
    return memcpy(to, from, size);
}
void* __memmove_chk(void* to, const void* from, size_t size, size_t room) {
    XYLEM_BUG_ON(size > room);
    return memmove(to, from, size);
}
void* __memset_chk(void* to, int value, size_t size, size_t room) {
    XYLEM_BUG_ON(size > room);
    return memset(to, value, size);
}
void __explicit_bzero_chk(void* to, size_t size, size_t room) {
    XYLEM_BUG_ON(size > room);
    memset(to, 0, size);
    asm volatile("" ::"r"(to) : "memory");  // the bytes are looked at: the clearing stays
}

// Decoders of zstd's formats before 1.0 (2016), 90 KiB, which no kernel uses. Defined here, they keep those parts of libzstd.a
// out of the link. A frame of such a format is refused by the first function that libzstd asks about it; the rest is never
// reached.
#define XYLEM_NO_OLD_ZSTD(name)                                  \
    void* name();                                                \
    void* name() {                                               \
        xylem::panic("an old zstd format got past its refusal"); \
    }
XYLEM_NO_OLD_ZSTD(ZBUFFv05_createDCtx)
XYLEM_NO_OLD_ZSTD(ZBUFFv05_decompressContinue)
XYLEM_NO_OLD_ZSTD(ZBUFFv05_decompressInitDictionary)
XYLEM_NO_OLD_ZSTD(ZBUFFv05_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv05_createDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv05_decompress_usingDict)
XYLEM_NO_OLD_ZSTD(ZSTDv05_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv05_getFrameParams)
XYLEM_NO_OLD_ZSTD(ZBUFFv06_createDCtx)
XYLEM_NO_OLD_ZSTD(ZBUFFv06_decompressContinue)
XYLEM_NO_OLD_ZSTD(ZBUFFv06_decompressInitDictionary)
XYLEM_NO_OLD_ZSTD(ZBUFFv06_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv06_createDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv06_decompress_usingDict)
XYLEM_NO_OLD_ZSTD(ZSTDv06_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv06_getFrameParams)
XYLEM_NO_OLD_ZSTD(ZBUFFv07_createDCtx)
XYLEM_NO_OLD_ZSTD(ZBUFFv07_decompressContinue)
XYLEM_NO_OLD_ZSTD(ZBUFFv07_decompressInitDictionary)
XYLEM_NO_OLD_ZSTD(ZBUFFv07_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv07_createDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv07_decompress_usingDict)
XYLEM_NO_OLD_ZSTD(ZSTDv07_freeDCtx)
XYLEM_NO_OLD_ZSTD(ZSTDv07_getFrameParams)
#undef XYLEM_NO_OLD_ZSTD

constexpr size_t zstd_version_unsupported = static_cast<size_t>(-12);  // minus ZSTD_error_version_unsupported
void ZSTDv05_findFrameSizeInfoLegacy(const void*, size_t, size_t* frame_size, unsigned long long* bound) {
    *frame_size = zstd_version_unsupported;
    *bound = static_cast<unsigned long long>(-2);
}
void ZSTDv06_findFrameSizeInfoLegacy(const void*, size_t, size_t* frame_size, unsigned long long* bound) {
    *frame_size = zstd_version_unsupported;
    *bound = static_cast<unsigned long long>(-2);
}
void ZSTDv07_findFrameSizeInfoLegacy(const void*, size_t, size_t* frame_size, unsigned long long* bound) {
    *frame_size = zstd_version_unsupported;
    *bound = static_cast<unsigned long long>(-2);
}

}  // extern "C"

// libzstd's optional tracing hooks (weak in the library): no trace.
extern "C" unsigned long long ZSTD_trace_decompress_begin(const void* context);
extern "C" void ZSTD_trace_decompress_end(unsigned long long trace, const void* what);
extern "C" unsigned long long ZSTD_trace_decompress_begin(const void*) {
    return 0;
}
extern "C" void ZSTD_trace_decompress_end(unsigned long long, const void*) {}
