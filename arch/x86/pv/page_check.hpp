// SPDX-License-Identifier: MIT
// An audit of all frames: do the counts that protect the machine agree with what the domains' page tables really hold?
#pragma once

#include "base/text/format.hpp"

namespace xylem::pv {

// Walks every frame and every domain, counts the references and type uses implied by entries of validated tables, pins, page
// table roots, GDT and LDT windows, shared structures and grants in use, and compares. Writes "page check: ok, N frames, M
// tables", or one line for each frame that is wrong (at most 16) and false. Needs 8 bytes of memory per frame while it runs
// (false and a line where there is none).
// The other vCPUs do not run meanwhile: operations that are under way hold references which only they know.
bool page_check(text::Sink& out);

}  // namespace xylem::pv
