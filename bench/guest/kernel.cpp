// SPDX-License-Identifier: MIT
// What programs ask of the kernel and what a hypervisor makes dearer: calls, memory, processes, switching, waiting.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/guest/measure.hpp"

namespace bench {
namespace {

constexpr std::size_t page = 4096;

char* map(std::size_t bytes) {
    return static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void calls() {
    measure("getppid", 20000, [] { syscall(SYS_getppid); });
    measure("clock_gettime-vdso", 20000, [] { monotonic_ns(); });
    measure("clock_gettime-syscall", 5000, [] {
        timespec now;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    });
}

void memory() {
    constexpr int pages = 2000;
    measure(
        "page-fault", 20,
        [] {
            char* area = map(pages * page);
            madvise(area, pages * page, MADV_NOHUGEPAGE);
            for (std::size_t i = 0; i < pages; ++i) area[i * page] = 1;
            munmap(area, pages * page);
        },
        pages);
    char* one = map(page);
    one[0] = 1;
    measure("mprotect-pair", 2000, [one] {
        mprotect(one, page, PROT_READ);
        mprotect(one, page, PROT_READ | PROT_WRITE);
        *static_cast<volatile char*>(one) = 2;
    });
}

void processes(const char* own_path) {
    measure("fork-exit-wait", 60, [] {
        const pid_t child = fork();
        if (child == 0) _exit(0);
        waitpid(child, nullptr, 0);
    });
    measure("vfork-exec-wait", 30, [own_path] {
        const pid_t child = vfork();
        if (child == 0) {
            execl(own_path, own_path, "exit", static_cast<char*>(nullptr));
            _exit(1);
        }
        waitpid(child, nullptr, 0);
    });
}

void pipes() {
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0) return;
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    char byte = 0;
    const pid_t echo = fork();
    if (echo == 0) {
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
        }
        _exit(0);
    }
    measure("pipe-ping-pong", 2000, [&] { (void)!write(there[1], &byte, 1), (void)!read(back[0], &byte, 1); });
    measure("pipe-write-read", 2000, [&] { (void)!write(back[1], &byte, 1), (void)!read(back[0], &byte, 1); });
    kill(echo, SIGKILL);
    waitpid(echo, nullptr, 0);
    for (const int end : {there[0], there[1], back[0], back[1]}) close(end);
}

}  // namespace

void measure_kernel(const char* own_path) {
    calls();
    memory();
    processes(own_path);
    pipes();
    const int zero = open("/dev/zero", O_RDONLY);
    static char buffer[65536];
    measure("read-zero-64k", 500, [zero] { (void)!read(zero, buffer, sizeof buffer); });
    close(zero);
    measure("usleep-1us", 50, [] { usleep(1); });
}

}  // namespace bench
