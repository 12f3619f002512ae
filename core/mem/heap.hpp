// SPDX-License-Identifier: MIT
// The hypervisor's own objects. Allocation can fail and says so; nothing throws.
#pragma once

#include <new>
#include <utility>

#include "base/types.hpp"

namespace xylem {

// Zeroed memory, aligned to 16 bytes (to a page for sizes of a page and more). Null when there is none.
// Takes the heap's lock and, releasing too, the frame allocator's; interrupts may be on or off, not from interrupt handlers.
void* heap_allocate(usize bytes);
void heap_release(void* p, usize bytes);
u64 heap_bytes_used();  // as rounded up

template <class T>
struct OwnPtr {
    OwnPtr() = default;
    explicit OwnPtr(T* p) : p_(p) {}
    OwnPtr(OwnPtr&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
    OwnPtr& operator=(OwnPtr&& o) noexcept {
        std::swap(p_, o.p_);
        return *this;
    }
    ~OwnPtr() { reset(); }
    void reset() {
        if (p_ == nullptr) return;
        p_->~T();
        heap_release(std::exchange(p_, nullptr), sizeof(T));
    }
    T* get() const { return p_; }
    T* release() { return std::exchange(p_, nullptr); }
    T* operator->() const { return p_; }
    T& operator*() const { return *p_; }
    explicit operator bool() const { return p_ != nullptr; }

   private:
    T* p_ = nullptr;
};

// Null when out of memory.
template <class T, class... Args>
OwnPtr<T> make_own(Args&&... args) {
    void* p = heap_allocate(sizeof(T));
    return OwnPtr<T>(p == nullptr ? nullptr : ::new (p) T(std::forward<Args>(args)...));
}

}  // namespace xylem
