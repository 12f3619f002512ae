// SPDX-License-Identifier: MIT
// The bench program of ./xylem bench, run in dom0 or on native Linux. Prints one line per row: BENCH name median least greatest.
#include "bench/guest/measure.hpp"

namespace bench {

void calibrate() {
    constexpr std::uint64_t loops = 100'000;
    std::uint64_t least = ~std::uint64_t{0};
    for (int round = 0; round < 500; ++round) {
        const std::uint64_t start = ticks();
        spin(loops);
        least = std::min(least, ticks() - start);
    }
    instructions_per_tick = 2.0 * loops / static_cast<double>(least);
    std::printf("BENCH-SCALE instructions_per_tick=%.5f\n", instructions_per_tick);
}

}  // namespace bench

int main(int count, char** words) {
    if (count == 3 && std::strcmp(words[1], "only") == 0)
        bench::only = words[2];
    else if (count > 1)
        return bench::domain_mode(count, words);
    // The TSC counts from the machine's reset, the monotonic clock from the kernel's start: the difference is what came before.
    std::printf("BENCH-CLOCKS tsc=%llu monotonic=%llu\n", static_cast<unsigned long long>(bench::ticks()),
                static_cast<unsigned long long>(bench::monotonic_ns()));
    bench::calibrate();
    bench::measure_kernel(words[0]);
    bench::measure_xen();
    std::puts("BENCH-END");
    return 0;
}
