// SPDX-License-Identifier: MIT
// An example to copy: a kernel that says what it is, ticks five times and ends. Runs as dom0 and as domU.
#include "guest/kit/console.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/time.hpp"

void xylem::kit::guest_main() {
    print("hello: {} of {} MiB, {} pages free, started with '{}'", is_dom0() ? "a dom0" : "a domU", boot_info().nr_pages >> 8,
          free_page_count(), command_line());
    events::start();  // upcalls go to handlers from here on
    time::start();    // the timer's event
    for (unsigned tick = 1; tick <= 5; ++tick) {
        time::sleep(100'000'000);
        print("hello: tick {} at {} ms", tick, time::now() / 1'000'000);
    }
    print("verdict: SUCCESS");
}
