// SPDX-License-Identifier: MIT
// A disk of another domain [xen/io/blkif.h]: one request of one page at a time.
#pragma once

#include "abi/io.hpp"
#include "guest/lib/frontend.hpp"
#include "guest/lib/ring.hpp"

namespace xylem::blkfront {

class Disk {
   public:
    static Result<Disk*> connect(unsigned number = 0);

    u64 sectors() const { return sectors_; }
    bool is_read_only() const { return (info_ & VDISK_READONLY) != 0; }
    // Up to eight sectors of 512 bytes; the memory lies within one page.
    Result<> read(u64 first, u32 count, void* to) { return transfer(BLKIF_OP_READ, first, count, to); }
    Result<> write(u64 first, u32 count, void* from) { return transfer(BLKIF_OP_WRITE, first, count, from); }
    Result<> close();

   private:
    using Ring = FrontRing<blkif_request_t, blkif_response_t>;
    Result<> transfer(u8 operation, u64 first, u32 count, void* memory);

    frontend::Place place_;
    std::optional<Ring> ring_;
    u32 port_ = 0;
    u64 sectors_ = 0, info_ = 0, next_id_ = 1;
};

}  // namespace xylem::blkfront
