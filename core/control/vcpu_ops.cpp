// SPDX-License-Identifier: MIT
#include "core/control/vcpu_ops.hpp"

#include "core/domain/vcpu_setup.hpp"
#include "core/port/guest.hpp"
#include "core/port/vcpu_state.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

// A vCPU that stands still for as long as the object lives.
class Still {
   public:
    static Result<Still> hold(Domain& d, u32 number) {
        if (number >= d.max_vcpus || d.life.load() != Life::alive) return fail(XEN_EINVAL);
        Vcpu& v = *d.vcpus[number];
        if (&v == &port::current()) return fail(XEN_EINVAL);
        if (!sched::pause_and_wait(v)) return fail(XEN_EAGAIN);
        return Still(v);
    }
    ~Still() {
        if (v_ != nullptr) sched::unpause(*v_);
    }
    Still(Still&& o) noexcept : v_(std::exchange(o.v_, nullptr)) {}
    Still& operator=(Still&& o) noexcept {
        std::swap(v_, o.v_);
        return *this;
    }
    Vcpu& operator*() const { return *v_; }

   private:
    explicit Still(Vcpu& v) : v_(&v) {}
    Vcpu* v_;
};

// Room that is given back with the object.
class Buffer {
   public:
    explicit Buffer(u64 bytes) : bytes_(bytes), at_(static_cast<u8*>(heap_allocate(bytes))) {}
    ~Buffer() { heap_release(at_, bytes_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    u8* get() const { return at_; }

   private:
    u64 bytes_;
    u8* at_;
};

}  // namespace

Result<> set_vcpu_context(Domain& d, const xen_domctl_vcpucontext& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_EINVAL);
    const GuestPtr<vcpu_guest_context> from(op.ctxt);
    if (from.is_null()) return fail(XEN_EINVAL);
    OwnPtr<vcpu_guest_context> c = make_own<vcpu_guest_context>();
    if (!c) return fail(XEN_ENOMEM);
    TRY(from.read_many(c.get(), 1));
    const Still v = TRY(Still::hold(d, op.vcpu));
    if (is_set_up(*v)) return port::set_vcpu_context(*v, *c);
    VcpuSetup setup = TRY(VcpuSetup::begin(*v));
    TRY(port::set_vcpu_context(*v, *c));
    // Builders clear the shared page, the clock in it with the rest.
    if (op.vcpu == 0) port::publish_wall_clock(d);
    setup.succeed();
    if ((c->flags & VGCF_online) != 0) {
        start_default_periodic_timer(*v);
        sched::bring_up(*v);
    }
    return {};
}

Result<> get_vcpu_context(Domain& d, const xen_domctl_vcpucontext& op) {
    OwnPtr<vcpu_guest_context> c = make_own<vcpu_guest_context>();
    if (!c) return fail(XEN_ENOMEM);
    {
        const Still v = TRY(Still::hold(d, op.vcpu));
        if (!is_set_up(*v)) return fail(XEN_ENODATA);
        port::get_vcpu_context(*v, *c);
    }
    return GuestPtr<vcpu_guest_context>(op.ctxt).write_many(c.get(), 1);
}

Result<> set_vcpu_callbacks(Domain& d, const xen_domctl_ext_vcpucontext& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_ESRCH);
    if (op.size < sizeof op) return fail(XEN_EINVAL);
    const Still v = TRY(Still::hold(d, op.vcpu));
    return port::set_vcpu_callbacks(*v, op);
}

Result<> get_vcpu_callbacks(Domain& d, xen_domctl_ext_vcpucontext& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_ESRCH);
    const Still v = TRY(Still::hold(d, op.vcpu));
    port::get_vcpu_callbacks(*v, op);
    return {};
}

// Asked with size 0 it says what there is, then gives exactly that.
Result<> get_extended_state(Domain& d, xen_domctl_vcpuextstate& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_ESRCH);
    const u64 bytes = port::extended_state_bytes(*d.vcpus[op.vcpu]);
    const u64 features = port::extended_state_features();
    const bool asks = op.size == 0 && op.xfeature_mask == 0;
    if (!asks && bytes != 0) {
        if (op.size != bytes || op.xfeature_mask != features) return fail(XEN_EINVAL);
        const Buffer buffer(bytes);
        if (buffer.get() == nullptr) return fail(XEN_ENOMEM);
        {
            const Still v = TRY(Still::hold(d, op.vcpu));
            port::get_extended_state(*v, buffer.get());
        }
        return GuestPtr<u8>(reinterpret_cast<u64>(op.buffer.p)).write_many(buffer.get(), bytes);
    }
    op.size = bytes;
    op.xfeature_mask = features;
    return {};
}

Result<> set_extended_state(Domain& d, const xen_domctl_vcpuextstate& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_ESRCH);
    if (op.size > port::extended_state_bytes(*d.vcpus[op.vcpu]) || op.size == 0) return fail(XEN_EINVAL);
    const Buffer buffer(op.size);
    if (buffer.get() == nullptr) return fail(XEN_ENOMEM);
    TRY(GuestPtr<u8>(reinterpret_cast<u64>(op.buffer.p)).read_many(buffer.get(), op.size));
    const Still v = TRY(Still::hold(d, op.vcpu));
    return port::set_extended_state(*v, buffer.get(), op.size);
}

}  // namespace xylem::control
