// SPDX-License-Identifier: MIT
// Ports and device memory as a guest's program reaches them.
#include <fcntl.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "tests/boot/probe/probe.hpp"

namespace probe {

int port(unsigned number, long written) {
    if (ioperm(number, 1, 1) != 0) return std::perror("ioperm"), 1;
    if (written >= 0) outb(static_cast<unsigned char>(written), static_cast<unsigned short>(number));
    std::printf("%02x\n", inb(static_cast<unsigned short>(number)));
    return 0;
}

int frame(unsigned long number) {
    const int memory = open("/dev/mem", O_RDONLY | O_SYNC);
    if (memory < 0) return std::perror("/dev/mem"), 1;
    const void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, memory, static_cast<off_t>(number << 12));
    close(memory);
    if (mapped == MAP_FAILED) return std::perror("mmap"), 1;
    std::printf("%08x\n", *static_cast<const volatile unsigned*>(mapped));
    return 0;
}

}  // namespace probe
