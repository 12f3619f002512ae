# Unit tests (GoogleTest) and libFuzzer targets, always under ASan and UBSan.
find_package(GTest REQUIRED)
set(SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
add_compile_options(${SANITIZE} -O1 -fsanitize=fuzzer-no-link)
add_link_options(${SANITIZE} -fuse-ld=lld)
include_directories(arch/host)

# The guest kit as far as it is arithmetic and protocols.
set(KIT_SOURCES guest/lib/store_server.cpp)
file(GLOB HOST_SOURCES CONFIGURE_DEPENDS arch/host/*.cpp arch/host/*/*.cpp)
# Parts of the machine that the simulated one has too: domains as they are made on hardware, and the flush clock.
set(SHARED_SOURCES arch/x86/domain/create.cpp arch/x86/domain/domain.cpp arch/x86/mm/tlb.cpp)
# Copies the boot modules out of memory that only a booting machine has.
list(REMOVE_ITEM PORTABLE_SOURCES ${CMAKE_SOURCE_DIR}/init/dom0/unpack.cpp)
# Tests of grants may play the page tables themselves: arch/host/guest_map.cpp chooses.
set_source_files_properties(arch/x86/pv/grant_map.cpp PROPERTIES COMPILE_DEFINITIONS
  "map_grant_at=pv_map_grant_at;unmap_grant_at=pv_unmap_grant_at;replace_grant_at=pv_replace_grant_at;flush_domain_tlbs=pv_flush_domain_tlbs;allow_device_access=pv_allow_device_access;revoke_device_access=pv_revoke_device_access")
# Other simulated CPUs may act at any function entry of these (arch/host/cpus.hpp), accesses to the page state included.
file(GLOB INTERLEAVED core/grant/*.cpp core/evtchn/*.cpp core/sched/*.cpp core/mem/memory_op*.cpp)
set_property(SOURCE ${INTERLEAVED} core/control/life.cpp core/mem/pages.cpp arch/x86/mm/tlb.cpp arch/x86/pv/tables.cpp arch/x86/pv/pte.cpp
  arch/x86/pv/mmu_update.cpp arch/x86/pv/mmuext.cpp arch/x86/pv/roots.cpp arch/x86/pv/segments.cpp arch/x86/pv/grant_map.cpp
  arch/x86/pv/write_fault.cpp APPEND PROPERTY COMPILE_OPTIONS -finstrument-functions)
# Fuzzers are after what the hypervisor does, not what the simulated machine and the audits of every frame do.
set_property(SOURCE ${HOST_SOURCES} arch/x86/pv/page_check.cpp APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=fuzzer-no-link)
add_library(portable OBJECT ${PORTABLE_SOURCES} ${HOST_SOURCES} ${SHARED_SOURCES} ${KIT_SOURCES})

file(GLOB_RECURSE UNIT_TESTS CONFIGURE_DEPENDS tests/unit/*.cpp tests/abi/*.cpp)
add_executable(unit_tests ${UNIT_TESTS} $<TARGET_OBJECTS:portable>)
target_link_libraries(unit_tests GTest::gtest GTest::gtest_main lzma zstd z lz4)

# One file, one fuzzer: tests/fuzz/foo_fuzz.cpp makes foo_fuzz.
file(GLOB FUZZERS CONFIGURE_DEPENDS tests/fuzz/*_fuzz.cpp)
foreach(source ${FUZZERS})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source} $<TARGET_OBJECTS:portable>)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} lzma zstd z lz4)
endforeach()

# The guest kit's frontends against backends that the tests play (tests/kit/fake_kit.hpp).
file(GLOB KIT_TESTS CONFIGURE_DEPENDS tests/kit/*.cpp)
file(GLOB TEXT_SOURCES CONFIGURE_DEPENDS base/text/*.cpp)
add_executable(kit_tests ${KIT_TESTS} ${TEXT_SOURCES} guest/lib/frontend.cpp guest/lib/blkfront.cpp guest/lib/netfront.cpp guest/lib/pcifront.cpp)
target_link_libraries(kit_tests GTest::gtest GTest::gtest_main)
