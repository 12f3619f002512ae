# XYLEM_DECOMPRESS_LIBS: the static libraries that unpack dom0's kernel (Debian: liblzma-dev libzstd-dev zlib1g-dev liblz4-dev).
# They are user-space objects: see init/dom0/image/decompress.hpp for what they need at run time, arch/x86/boot/libc_shim.cpp for
# what they need at link time. Link with --gc-sections; the order does not matter, none uses another.
set(XYLEM_DECOMPRESS_LIBS)
foreach(library lzma zstd z lz4)
  find_library(XYLEM_LIB_${library} NAMES lib${library}.a REQUIRED)
  mark_as_advanced(XYLEM_LIB_${library})
  list(APPEND XYLEM_DECOMPRESS_LIBS ${XYLEM_LIB_${library}})
endforeach()
