// SPDX-License-Identifier: MIT
// All domains of the machine, in the order of their numbers.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem {

// Adds a new domain; it is found from then on. XEN_EEXIST where the number is taken.
Result<> add_domain(Domain& d);
// The first domain with a number of at least `from`.
DomainRef next_domain(DomId from);
// Takes a domain without references off the list.
void remove_domain(Domain& d);

template <class Visit>
void for_each_domain(Visit&& visit) {
    for (DomainRef d = next_domain(DomId(0)); d; d = next_domain(DomId(static_cast<u16>(d->id.raw + 1)))) visit(*d);
}

}  // namespace xylem
