# PV kernels made of the guest kit: each folder of tests/guest and guest/examples is one, build/guest/NAME.elf
# (NAME.sym is the same with names, for gdb).
include_directories(BEFORE ${CMAKE_SOURCE_DIR})
add_compile_options(
  -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector -fno-asynchronous-unwind-tables
  -fno-pic -mcmodel=kernel -mno-red-zone -mno-sse -mno-sse2 -mno-mmx -mstack-alignment=16 -O2 -fno-omit-frame-pointer -fvisibility=hidden
  -ffunction-sections -fdata-sections)

file(GLOB KIT_SOURCES CONFIGURE_DEPENDS base/text/*.cpp guest/kit/*.cpp guest/kit/*.S guest/lib/*.cpp guest/drivers/*.cpp)
add_library(kit STATIC ${KIT_SOURCES})

file(GLOB GUESTS CONFIGURE_DEPENDS tests/guest/*/guest.cpp guest/examples/*/guest.cpp)
foreach(main ${GUESTS})
  get_filename_component(folder ${main} DIRECTORY)
  get_filename_component(name ${folder} NAME)
  file(GLOB parts CONFIGURE_DEPENDS ${folder}/*.cpp ${folder}/*.S)
  add_executable(${name} ${parts})
  target_link_libraries(${name} PRIVATE kit)
  target_link_options(${name} PRIVATE -nostdlib -static -fuse-ld=lld -Wl,-T,${CMAKE_SOURCE_DIR}/guest/kit/guest.lds
    -Wl,--gc-sections -Wl,-z,max-page-size=4096 -Wl,--build-id=none -Wl,-u,kit_entry)
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND llvm-objcopy-19 --strip-all $<TARGET_FILE:${name}> ${CMAKE_BINARY_DIR}/${name}.elf)
  set_target_properties(${name} PROPERTIES SUFFIX .sym LINK_DEPENDS ${CMAKE_SOURCE_DIR}/guest/kit/guest.lds)
endforeach()
