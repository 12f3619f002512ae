// SPDX-License-Identifier: MIT
#include "core/evtchn/events.hpp"

#include "core/evtchn/table.hpp"

namespace xylem::evtchn {

Result<> create_table(Domain& domain, u32 max_channels) {
    void* memory = heap_allocate(sizeof(Table));
    if (memory == nullptr) return fail(XEN_ENOMEM);
    domain.events = ::new (memory) Table(domain, max_channels);
    return {};
}

void close_all(Domain& domain) {
    if (domain.events != nullptr) domain.events->close_all();
}

void notify(Domain& domain, Port port) {
    if (domain.events != nullptr) (void)domain.events->send(port);
}

void free_table(Domain& domain) {
    OwnPtr<Table>(std::exchange(domain.events, nullptr)).reset();
}

void send_vcpu_virq(Vcpu& v, u32 virq) {
    if (Table* table = v.domain.events) table->raise_virq(virq, v.id);
}

void notify_global_virq(Domain& domain, u32 virq) {
    if (Table* table = domain.events) table->raise_global_virq(virq);
}

Result<bool> is_pending(Domain& domain, Port port) {
    if (domain.events == nullptr) return fail(XEN_EINVAL);
    return domain.events->is_pending(port);
}

bool notify_pirq(Domain& domain, Port port, Pirq pirq) {
    return domain.events != nullptr && domain.events->raise_pirq(port, pirq);
}

void unmask(Domain& domain, Port port) {
    if (Table* table = domain.events) (void)table->unmask(port);
}

void dump(Domain& domain, text::Sink& out) {
    if (domain.events != nullptr) domain.events->dump(out);
}

}  // namespace xylem::evtchn
