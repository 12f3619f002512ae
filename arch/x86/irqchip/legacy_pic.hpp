// SPDX-License-Identifier: MIT
// The pair of 8259s: silenced for good.
#pragma once

namespace xylem::irqchip {

// Moves their vectors to legacy_pic_vector and masks every input. Boot CPU, interrupts off. Harmless where there are none.
void silence_legacy_pic();

}  // namespace xylem::irqchip
