// SPDX-License-Identifier: MIT
// A vCPU's first state, from its guest (VCPUOP_initialise) or from the domain's builder (XEN_DOMCTL_setvcpucontext).
#pragma once

#include "core/domain/domain.hpp"

namespace xylem {

// The right to give it: one at a time, and nothing starts the vCPU before it has all of it. Takes the domain's lock for moments.
class VcpuSetup {
   public:
    // XEN_EEXIST: it has its state, or somebody else is just giving it one.
    static Result<VcpuSetup> begin(Vcpu& v) {
        Guard guard(v.domain.lock);
        if (v.setup != Setup::none) return fail(XEN_EEXIST);
        v.setup = Setup::under_way;
        return VcpuSetup(v);
    }
    ~VcpuSetup() {
        if (v_ != nullptr) end(Setup::none);
    }
    VcpuSetup(VcpuSetup&& o) noexcept : v_(std::exchange(o.v_, nullptr)) {}
    VcpuSetup& operator=(VcpuSetup&&) = delete;

    void succeed() {
        end(Setup::done);
        v_ = nullptr;
    }

   private:
    explicit VcpuSetup(Vcpu& v) : v_(&v) {}
    void end(Setup as) {
        Guard guard(v_->domain.lock);
        v_->setup = as;
    }
    Vcpu* v_;
};

// It can run.
inline bool is_set_up(Vcpu& v) {
    Guard guard(v.domain.lock);
    return v.setup == Setup::done;
}

}  // namespace xylem
