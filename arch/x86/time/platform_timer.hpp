// SPDX-License-Identifier: MIT
// The clock outside the CPUs that tells how fast the TSC is: HPET, ACPI PM timer or PIT channel 2.
#pragma once

#include <optional>
#include <string_view>

#include "arch/x86/time/scale.hpp"
#include "base/types.hpp"
#include "drivers/acpi/platform_info.hpp"

namespace xylem::time {

enum class Source : u8 { hpet, acpi, pit };

std::string_view name_of(Source source);

class PlatformTimer {
   public:
    constexpr PlatformTimer() = default;

    // Boot CPU, once: starts `wanted` if it is there and runs, else the first of HPET, PM timer, PIT that does. Panics without
    // any.
    void init(const acpi::PlatformInfo& info, std::optional<Source> wanted);

    // Counts up, modulo 2^bits(). One CPU at a time (the PIT is read in three steps).
    u64 read() const;
    unsigned bits() const { return bits_; }
    TickRate rate() const { return rate_; }
    Source source() const { return source_; }

   private:
    bool try_start(Source source, const acpi::PlatformInfo& info);
    bool start_hpet(Maddr at);
    bool start_pm_timer(const acpi::Register& timer);
    void start_pit();
    bool runs() const;

    Source source_ = Source::pit;
    unsigned bits_ = 16;
    TickRate rate_;
    volatile void* registers_ = nullptr;  // HPET, or a PM timer in memory
    u16 port_ = 0;                        // PM timer in ports
};

}  // namespace xylem::time
