// Contexts that give way to each other by hand. On x86-64 a switch saves six registers and takes some
// nanoseconds; elsewhere it is swapcontext.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

// Memory for one fiber's calls, with a page below it that no one may touch.
class Stack {
 public:
  Stack();
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  char* bottom() const { return bottom_; }
  size_t size() const;

 private:
  char* bottom_;
};

struct Fiber {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t context;
#endif
  const Stack* stack = nullptr;  // null: the system's own
  void* fake_stack = nullptr;    // the address sanitizer's
};

// Makes `fiber` begin with main(), which must end with leave_fiber.
void start_fiber(Fiber& fiber, Stack& stack, void (*main)());
void switch_fiber(Fiber& from, Fiber& to);
void leave_fiber(Fiber& from, Fiber& to);

}  // namespace emulator
