#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

namespace {

constexpr size_t kGuard = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 512 << 10;  // its frames are larger
#else
constexpr size_t kStackBytes = 128 << 10;
#endif

#if defined(__SANITIZE_ADDRESS__)
const void* system_bottom = nullptr;
size_t system_size = 0;
#endif

// What the address sanitizer must know about a switch; the second half runs on the new stack.
void before_switch(Fiber& from, const Fiber& to, bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.stack ? to.stack->bottom() : system_bottom,
                                 to.stack ? to.stack->size() : system_size);
#else
  (void)from, (void)to, (void)for_good;
#endif
}
void unpoison(const char* memory, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory, bytes);
#else
  (void)memory, (void)bytes;
#endif
}
void after_switch(Fiber& now) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(now.fake_stack, nullptr, nullptr);
#else
  (void)now;
#endif
}

#if defined(__x86_64__)
// Saves the callee's registers on the old stack, leaves its top in *from, and goes on where `to` left off.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size emulator_switch, .-emulator_switch
)");
#endif

void (*start_main)() = nullptr;

void begin() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &system_bottom, &system_size);
#endif
  start_main();
  std::abort();  // main has left
}

}  // namespace

Stack::Stack() {
  void* memory =
      mmap(nullptr, kStackBytes + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuard, PROT_NONE);
  bottom_ = static_cast<char*>(memory) + kGuard;
}
Stack::~Stack() {
  unpoison(bottom_, kStackBytes);
  munmap(bottom_ - kGuard, kStackBytes + kGuard);
}
size_t Stack::size() const { return kStackBytes; }

void start_fiber(Fiber& fiber, Stack& stack, void (*main)()) {
  start_main = main;
  fiber.stack = &stack;
  fiber.fake_stack = nullptr;
  // Of a fiber that ran here and left, the outermost calls never returned.
  constexpr size_t kOutermost = 8192;
  unpoison(stack.bottom() + stack.size() - kOutermost, kOutermost);
#if defined(__x86_64__)
  // As emulator_switch would have left it: six registers and a return address, which a call finds on a
  // stack of 16 bytes' alignment.
  void** top = reinterpret_cast<void**>(stack.bottom() + stack.size());
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&begin);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  fiber.stack_pointer = top;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack.bottom();
  fiber.context.uc_stack.ss_size = stack.size();
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, begin, 0);
#endif
}

static void switch_stacks(Fiber& from, Fiber& to) {
#if defined(__x86_64__)
  emulator_switch(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
}

void switch_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to, false);
  switch_stacks(from, to);
  after_switch(from);
}

void leave_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to, true);
  switch_stacks(from, to);
  std::abort();
}

}  // namespace emulator
