// SPDX-License-Identifier: MIT
// Stand-ins for neighbours of the scheduler that a test build may lack; real definitions win over these weak ones.
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/mem/pages.hpp"
#include "core/sched/hypercalls.hpp"

namespace xylem {

#define WEAK __attribute__((weak))
WEAK void put_writable(PageInfo&) {}
WEAK Result<WritablePage> WritablePage::get(Domain&, Gfn) {
    return fail(XEN_EINVAL);
}
WEAK void* WritablePage::address() const {
    return nullptr;
}
WEAK DomainRef::~DomainRef() = default;
WEAK Result<DomainRef> find_domain_for(Domain&, DomId) {
    return fail(XEN_ESRCH);
}
WEAK void send_global_virq(u32) {}
WEAK void panic_with(std::string_view) {
    __builtin_trap();
}
WEAK void bug_at(const char*, const char*, unsigned) {
    __builtin_trap();
}
namespace log {
WEAK void emit(Level, std::string_view) {}
}  // namespace log
namespace evtchn {
WEAK bool is_pending(Domain&, Port) {
    return false;
}
WEAK void send_vcpu_virq(Vcpu& v, u32) {
    kick(v);
}
}  // namespace evtchn

}  // namespace xylem
