// SPDX-License-Identifier: MIT
#include "guest/drivers/nvme.hpp"

#include <atomic>

#include "guest/kit/cpu.hpp"
#include "guest/lib/interrupts.hpp"
#include "guest/lib/time.hpp"

namespace xylem::nvme {
namespace {

constexpr u32 reg_cap_high = 4, reg_mask_set = 0xc, reg_mask_clear = 0x10, reg_config = 0x14, reg_status = 0x1c,
              reg_admin_sizes = 0x24, reg_admin_sq = 0x28, reg_admin_cq = 0x30, doorbells = 0x1000;
constexpr u32 config_on = 1 | 6 << 16 | 4 << 20;  // 64-byte submissions, 16-byte completions
constexpr u32 entries = 16;
constexpr u64 register_bytes = 0x2000;
constexpr Nanos patience = 5'000'000'000;

}  // namespace

struct Controller::Command {
    u32 opcode_and_id = 0, namespace_id = 0;
    u64 reserved = 0, metadata = 0;
    u64 data[2] = {};
    u32 words[6] = {};
};

u32 Controller::get(u32 reg) const {
    return *reinterpret_cast<const volatile u32*>(registers_ + reg);
}
void Controller::put(u32 reg, u32 value) {
    *reinterpret_cast<volatile u32*>(registers_ + reg) = value;
}
void Controller::ring(u32 queue, bool completion, u32 value) {
    put(doorbells + (2 * queue + (completion ? 1 : 0)) * doorbell_step_, value);
}

void Controller::on_interrupt(void* self) {
    auto& c = *static_cast<Controller*>(self);
    ++c.interrupts_;
    if (c.wait_ == Wait::intx) c.put(reg_mask_set, 1);  // the line stays up until the completion is taken
}

Result<> Controller::wait_ready(bool ready) {
    const Nanos end = time::now() + patience;
    while ((get(reg_status) & 1) != (ready ? 1u : 0u))
        if (time::now() > end) return fail(XEN_EIO);
    return {};
}

Result<> Controller::submit(Queue& q, Command& c) {
    const u32 number = &q == &io_ ? 1 : 0;
    c.opcode_and_id |= ++q.id << 16;
    const u64 before = interrupts_;
    std::memcpy(q.submissions.memory + q.tail * sizeof c, &c, sizeof c);
    q.tail = (q.tail + 1) % entries;
    std::atomic_thread_fence(std::memory_order_release);
    ring(number, false, q.tail);
    const Nanos end = time::now() + patience;
    while (interrupts_ == before) {  // the handler counts
        if (time::now() > end) return fail(XEN_EIO);
        time::sleep(1'000'000);
    }
    // The completion is the device's: copied once.
    u32 completion[4];
    std::memcpy(completion, q.completions.memory + q.head * sizeof completion, sizeof completion);
    if ((completion[3] >> 16 & 1) != q.phase || (completion[3] & 0xffff) != (q.id & 0xffff)) return fail(XEN_EIO);
    q.head = (q.head + 1) % entries;
    if (q.head == 0) q.phase ^= 1;
    ring(number, true, q.head);
    if (wait_ == Wait::intx) put(reg_mask_clear, 1);
    return completion[3] >> 17 == 0 ? Result<>{} : fail(XEN_EIO);
}

Result<> Controller::set_up_queues() {
    Command completion_queue{.opcode_and_id = 5};
    completion_queue.data[0] = io_.completions.at.raw;
    completion_queue.words[0] = 1 | (entries - 1) << 16;
    completion_queue.words[1] = 1 | 2;  // contiguous, interrupts by vector 0
    TRY(submit(admin_, completion_queue));
    Command submission_queue{.opcode_and_id = 1};
    submission_queue.data[0] = io_.submissions.at.raw;
    submission_queue.words[0] = 1 | (entries - 1) << 16;
    submission_queue.words[1] = 1 | 1 << 16;
    TRY(submit(admin_, submission_queue));
    const dma::Buffer page = TRY(dma::allocate(0));
    Command identify{.opcode_and_id = 6, .namespace_id = 1};
    identify.data[0] = page.at.raw;
    TRY(submit(admin_, identify));
    std::memcpy(&sectors_, page.memory, sizeof sectors_);
    return {};
}

Result<Controller*> Controller::start(const pci::Device& device, Wait wait) {
    static Controller only;
    Controller& c = only;
    c = Controller();
    c.wait_ = wait;
    pci::enable(device);
    c.registers_ = static_cast<volatile u8*>(TRY(kit::map_machine(Maddr(pci::bar(device, 0)), register_bytes)));
    c.put(reg_config, 0);
    TRY(c.wait_ready(false));
    c.doorbell_step_ = 4u << (c.get(reg_cap_high) & 15);
    for (dma::Buffer* b : {&c.admin_.submissions, &c.admin_.completions, &c.io_.submissions, &c.io_.completions})
        *b = TRY(dma::allocate(0));
    c.bounce_ = TRY(dma::Bounce::create(0));
    c.put(reg_admin_sizes, (entries - 1) | (entries - 1) << 16);
    c.put(reg_admin_sq, static_cast<u32>(c.admin_.submissions.at.raw));
    c.put(reg_admin_sq + 4, static_cast<u32>(c.admin_.submissions.at.raw >> 32));
    c.put(reg_admin_cq, static_cast<u32>(c.admin_.completions.at.raw));
    c.put(reg_admin_cq + 4, static_cast<u32>(c.admin_.completions.at.raw >> 32));
    c.irq_ = TRY(wait == Wait::intx ? interrupts::connect_intx(device, on_interrupt, &c)
                                    : interrupts::connect_msix(device, 0, on_interrupt, &c));
    c.put(reg_config, config_on);
    TRY(c.wait_ready(true));
    TRY(c.set_up_queues());
    return &c;
}

Result<> Controller::read(u64 first, u32 sectors, void* to) {
    const u64 bytes = u64{sectors} * 512;
    if (bytes > page_size) return fail(XEN_E2BIG);
    const Maddr at = TRY(bounce_->begin(to, bytes, dma::Bounce::Direction::from_device));
    Command c{.opcode_and_id = 2, .namespace_id = 1};
    c.data[0] = at.raw;
    c.data[1] = (at.raw & ~page_mask) + page_size;  // used only when the transfer crosses a page
    c.words[0] = static_cast<u32>(first);
    c.words[1] = static_cast<u32>(first >> 32);
    c.words[2] = sectors - 1;
    TRY(submit(io_, c));
    bounce_->finish();
    return {};
}

Result<> Controller::stop() {
    put(reg_config, 0);
    TRY(wait_ready(false));
    return interrupts::disconnect(irq_);
}

}  // namespace xylem::nvme
