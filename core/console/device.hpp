// SPDX-License-Identifier: MIT
// What the console prints on: a serial port, a screen.
#pragma once

#include <string_view>

namespace xylem::console {

// Lines end in '\n'; a device that needs a carriage return adds it. Called with interrupts off and the console's lock held,
// in a panic without the lock: write() must not log, wait for an interrupt or take a lock that its own panic could hold.
class ConsoleDevice {
   public:
    virtual void write(std::string_view text) = 0;

   protected:
    ~ConsoleDevice() = default;
};

}  // namespace xylem::console
