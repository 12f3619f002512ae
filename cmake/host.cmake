# Unit tests (GoogleTest) and libFuzzer targets, always under ASan and UBSan.
find_package(GTest REQUIRED)
set(SANITIZE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
add_compile_options(${SANITIZE} -O1 -fsanitize=fuzzer-no-link)
add_link_options(${SANITIZE} -fuse-ld=lld)
include_directories(arch/host)

file(GLOB HOST_SOURCES CONFIGURE_DEPENDS arch/host/*.cpp arch/host/*/*.cpp)
add_library(portable OBJECT ${PORTABLE_SOURCES} ${HOST_SOURCES})

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
