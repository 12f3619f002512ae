// SPDX-License-Identifier: MIT
// A guest's pointer is an allegation: the only ways to look are read() and write(), each exactly once per call.
#pragma once

#include <type_traits>

#include "abi/errno.hpp"
#include "core/port/machine.hpp"
#include "cpu/guest_words.hpp"

namespace xylem {

// Points to `T` (or an array of it) in the current guest's virtual memory. Arithmetic that wraps is caught by the copy:
// an address at or beyond the hypervisor's range is refused there.
template <class T>
class GuestPtr {
    static_assert(std::is_trivially_copyable_v<T>);

   public:
    constexpr GuestPtr() = default;
    constexpr explicit GuestPtr(u64 va) : va_(va) {}
    // From an ABI guest handle.
    template <class Handle>
        requires requires(Handle h) { h.p; }
    explicit GuestPtr(Handle h) : va_(reinterpret_cast<u64>(h.p)) {}

    constexpr bool is_null() const { return va_ == 0; }
    constexpr u64 address() const { return va_; }
    constexpr GuestPtr element(u64 index) const {
        u64 offset = 0;
        u64 at = 0;
        if (__builtin_mul_overflow(index, u64{sizeof(T)}, &offset) || __builtin_add_overflow(va_, offset, &at))
            return GuestPtr(~u64{0});
        return GuestPtr(at);
    }
    template <class U>
    constexpr GuestPtr<U> as() const {
        return GuestPtr<U>(va_);
    }

    Result<T> read() const {
        T copy;
        if (!read_into(copy)) [[unlikely]]
            return fail(XEN_EFAULT);
        return copy;
    }
    // The same without another copy, for what is big and read often. False: XEN_EFAULT, and `to` may be half written.
    [[nodiscard]] bool read_into(T& to) const {
        const bool read = read_to(to);
        asm volatile("" : "+m"(to)::"memory");  // one snapshot: nobody reads the guest's own copy again
        return read;
    }
    Result<> write(const T& value) const {
        if (!write_from(value)) [[unlikely]]
            return fail(XEN_EFAULT);
        return {};
    }
    // Of no elements neither touches the address.
    Result<> read_many(T* to, u64 count) const {
        u64 bytes = 0;
        if (__builtin_mul_overflow(count, u64{sizeof(T)}, &bytes)) return fail(XEN_EFAULT);
        if (bytes != 0 && !port::copy_from_guest(to, va_, bytes)) return fail(XEN_EFAULT);
        return {};
    }
    Result<> write_many(const T* from, u64 count) const {
        u64 bytes = 0;
        if (__builtin_mul_overflow(count, u64{sizeof(T)}, &bytes)) return fail(XEN_EFAULT);
        if (bytes != 0 && !port::copy_to_guest(va_, from, bytes)) return fail(XEN_EFAULT);
        return {};
    }

   private:
    // A few words are read in place, everything else by the general copy.
    bool read_to(T& copy) const {
        if constexpr (sizeof(T) % 8 == 0 && sizeof(T) <= 64 && alignof(T) == 8) {
            u64 words[sizeof(T) / 8];
            if (!cpu::read_guest_words(words, va_)) return false;
            __builtin_memcpy(&copy, words, sizeof copy);
            return true;
        } else {
            return port::copy_from_guest(&copy, va_, sizeof copy);
        }
    }
    bool write_from(const T& value) const {
        if constexpr (sizeof(T) == 8) {
            u64 word;
            __builtin_memcpy(&word, &value, sizeof word);
            return cpu::write_guest_word(va_, word);
        } else {
            return port::copy_to_guest(va_, &value, sizeof value);
        }
    }

    u64 va_ = 0;
};

// A field of a guest structure, for writing back just the answer: field(ptr, &evtchn_alloc_unbound::port).
template <class T, class M>
GuestPtr<M> field(GuestPtr<T> p, M T::* member) {
    const T* base = nullptr;
    return GuestPtr<M>(p.address() + reinterpret_cast<u64>(&(base->*member)));
}

}  // namespace xylem
