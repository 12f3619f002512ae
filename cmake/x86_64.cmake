# The hypervisor: freestanding, position fixed at its own slot, wrapped into a 32-bit-class ELF that every loader takes.
include(cmake/decompress.cmake OPTIONAL)
include_directories(arch/x86)
add_compile_options(
  -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector -fno-asynchronous-unwind-tables
  -fPIE -fvisibility=hidden -mno-red-zone -mno-sse -mno-sse2 -mno-mmx -mstack-alignment=8 -O2 -fno-omit-frame-pointer
  -ffunction-sections -fdata-sections -Wframe-larger-than=2048)

file(GLOB_RECURSE X86_SOURCES CONFIGURE_DEPENDS arch/x86/*.cpp arch/x86/*.S drivers/*.cpp init/*.cpp)
set(HYPERVISOR_SOURCES ${PORTABLE_SOURCES} ${X86_SOURCES})
list(REMOVE_DUPLICATES HYPERVISOR_SOURCES)
# On the way into the decompression libraries the stack is aligned as their compiler expected (call_on_aligned_stack).
file(GLOB UNPACKING CONFIGURE_DEPENDS init/dom0/image/*.cpp init/dom0/unpack.cpp)
set_source_files_properties(${UNPACKING} PROPERTIES COMPILE_OPTIONS -mstack-alignment=16)
add_executable(hypervisor ${HYPERVISOR_SOURCES})
set_source_files_properties(${X86_SOURCES} PROPERTIES OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/arch/x86/entry/offsets.h)
target_link_options(hypervisor PRIVATE -nostdlib -static -fuse-ld=lld -Wl,-T,${CMAKE_SOURCE_DIR}/arch/x86/boot/xylem.lds
  -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=sha1 -Wl,-z,max-page-size=4096)
set_target_properties(hypervisor PROPERTIES OUTPUT_NAME xylem.sym LINK_DEPENDS ${CMAKE_SOURCE_DIR}/arch/x86/boot/xylem.lds)
target_link_libraries(hypervisor PRIVATE ${XYLEM_DECOMPRESS_LIBS})

add_custom_command(TARGET hypervisor POST_BUILD
  COMMAND ${CMAKE_SOURCE_DIR}/tools/symbols.py $<TARGET_FILE:hypervisor>
  COMMAND ${CMAKE_SOURCE_DIR}/tools/wrap_image.sh $<TARGET_FILE:hypervisor> ${CMAKE_BINARY_DIR}/xylem
)
add_custom_target(xylem ALL DEPENDS hypervisor)
