// SPDX-License-Identifier: MIT
#include "arch/x86/pv/write_fault.hpp"

#include "arch/x86/emul/store.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/traps.hpp"
#include "core/domain/domain.hpp"

namespace xylem::pv {
namespace {

// The store on the table's entry: read, compute, check, swap; again when another CPU was faster.
bool store(ArchVcpu& v, const emul::StoreOp& op, u64* slot) {
    Domain& d = v.vcpu->domain;
    u64 word = __atomic_load_n(slot, __ATOMIC_RELAXED);
    for (;;) {
        const u64 old = emul::bytes_in_word(op, word);
        const emul::StoreResult result = emul::apply(op, old);
        if (result.write) {
            const Result<bool> done = replace_l1_if(d, slot, word, emul::word_with_bytes(op, word, result.value));
            if (!done) return false;
            if (!*done) continue;
        }
        emul::retire(op, old, v.guest);
        return true;
    }
}

}  // namespace

bool emulate_page_table_write(ArchVcpu& v, u64 address) {
    // Is it one of the domain's own L1 tables, seen read-only?
    const L1Slot mapping = find_l1(v.loaded_root, address);
    if (mapping.entry == nullptr) return false;
    const u64 entry = __atomic_load_n(mapping.entry, __ATOMIC_RELAXED);
    if (!is_present(entry) || (entry & bits::writable) != 0) return false;
    PageInfo* page = find_page(frame_of(entry));
    if (page == nullptr || page->load().type() != PageType::l1) return false;
    const TableUse use = TableUse::take(*page, v.vcpu->domain.id);
    if (!use || use.level() != 1) return false;

    emul::FetchWindow window{};
    window.valid = static_cast<u8>(fetch(v, window.bytes.data(), emul::max_instruction_length));
    const auto op = emul::decode_store(window, v.guest, {});
    if (!op || op->linear != address || !emul::within_word(*op)) return false;
    u64* table = table_of(frame_of(entry));
    return store(v, *op, table + ((address & page_mask) / 8));
}

}  // namespace xylem::pv
