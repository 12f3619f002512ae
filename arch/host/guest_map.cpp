// SPDX-License-Identifier: MIT
#include "arch/host/guest_map.hpp"

// arch/x86/pv/grant_map.cpp under the names its functions have in this build (cmake/host.cmake).
namespace xylem::port {

Result<> pv_map_grant_at(Vcpu&, u64, bool, Mfn, MapFlags);
Result<> pv_unmap_grant_at(Vcpu&, u64, Mfn, bool, bool);
Result<> pv_replace_grant_at(Vcpu&, u64, u64, Mfn, bool);
void pv_flush_domain_tlbs(Domain&);
Result<> pv_allow_device_access(Domain&, Mfn, bool);
void pv_revoke_device_access(Domain&, Mfn, bool);

Result<> map_grant_at(Vcpu& v, u64 address, bool contains_pte, Mfn mfn, MapFlags flags) {
    return host::guest_map != nullptr ? host::guest_map->map(address, contains_pte, mfn, flags)
                                      : pv_map_grant_at(v, address, contains_pte, mfn, flags);
}
Result<> unmap_grant_at(Vcpu& v, u64 address, Mfn expected, bool contains_pte, bool readonly) {
    return host::guest_map != nullptr ? host::guest_map->unmap(address, expected, contains_pte, readonly)
                                      : pv_unmap_grant_at(v, address, expected, contains_pte, readonly);
}
Result<> replace_grant_at(Vcpu& v, u64 address, u64 new_address, Mfn expected, bool readonly) {
    return host::guest_map != nullptr ? host::guest_map->replace(v, address, new_address, expected, readonly)
                                      : pv_replace_grant_at(v, address, new_address, expected, readonly);
}
void flush_domain_tlbs(Domain& d) {
    host::guest_map != nullptr ? host::guest_map->flush() : pv_flush_domain_tlbs(d);
}
Result<> allow_device_access(Domain& d, Mfn mfn, bool writable) {
    return host::guest_map != nullptr ? host::guest_map->allow_device(mfn, writable) : pv_allow_device_access(d, mfn, writable);
}
void revoke_device_access(Domain& d, Mfn mfn, bool writable) {
    host::guest_map != nullptr ? host::guest_map->revoke_device(mfn, writable) : pv_revoke_device_access(d, mfn, writable);
}

}  // namespace xylem::port
