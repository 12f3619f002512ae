// SPDX-License-Identifier: MIT
// The smallest guest: it says hello and the domain ends.
#include "guest/kit/console.hpp"
#include "guest/kit/start.hpp"

void xylem::kit::guest_main() {
    print("= hello: I am a {} of {} MiB", is_dom0() ? "dom0" : "domU", boot_info().nr_pages >> 8);
    print("verdict: SUCCESS");
}
