// SPDX-License-Identifier: Apache-2.0
// What Swift cannot say: system calls without a wrapper, a compiler fence, one thread-local word each.
// Everything returns a negative error number on failure and never leaves its meaning in errno.
#pragma once
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "cp_file.h"
#include "cp_ring.h"

// The chunk of stripes that belongs to this thread alone; 0: it shares the locked ones.
extern __thread uintptr_t platter_thread_stripes __attribute__((tls_model("initial-exec")));
// What this thread is running inside of (see BlockCore's ThreadContext); 0: nothing.
extern __thread uintptr_t platter_thread_inside __attribute__((tls_model("initial-exec")));
// The first and last of the submissions that this thread put off; 0: none.
extern __thread uintptr_t platter_thread_put_off_head __attribute__((tls_model("initial-exec")));
extern __thread uintptr_t platter_thread_put_off_tail __attribute__((tls_model("initial-exec")));

static inline uintptr_t platter_get_stripes(void) { return platter_thread_stripes; }
static inline void platter_set_stripes(uintptr_t value) { platter_thread_stripes = value; }
static inline uintptr_t platter_get_inside(void) { return platter_thread_inside; }
static inline void platter_set_inside(uintptr_t value) { platter_thread_inside = value; }
static inline uintptr_t platter_get_put_off_head(void) { return platter_thread_put_off_head; }
static inline uintptr_t platter_get_put_off_tail(void) { return platter_thread_put_off_tail; }
static inline void platter_set_put_off(uintptr_t head, uintptr_t tail) {
    platter_thread_put_off_head = head;
    platter_thread_put_off_tail = tail;
}

static inline uintptr_t platter_thread_self(void) { return (uintptr_t)pthread_self(); }

// A number that differs between threads that live at the same time; good enough to spread them over stripes.
static inline uintptr_t platter_thread_hash(void) {
    uintptr_t self = platter_thread_self();
    return (self >> 12) ^ (self >> 20);
}

// Keeps the compiler, not the processor, from moving memory accesses across.
static inline void platter_compiler_fence(void) { __asm__ __volatile__("" ::: "memory"); }

// 1 where the thread sanitizer watches: it knows no free-standing fences.
int platter_under_thread_sanitizer(void);
// 1 where the address sanitizer watches: memory that is kept is memory whose misuse it does not see.
int platter_under_address_sanitizer(void);

enum { PLATTER_MEMBARRIER_EXPEDITED = 1 << 3, PLATTER_MEMBARRIER_REGISTER_EXPEDITED = 1 << 4 };
static inline long platter_membarrier(int command) {
    long result = syscall(SYS_membarrier, command, 0, 0);
    return result < 0 ? -errno : result;
}

// Sleeps while *word == expected, until a CLOCK_MONOTONIC instant (0: for ever). 0, -EAGAIN, -ETIMEDOUT or -EINTR.
static inline int platter_futex_wait(uint32_t *word, uint32_t expected, uint64_t until_nanoseconds) {
    struct timespec until = {(time_t)(until_nanoseconds / 1000000000ull), (long)(until_nanoseconds % 1000000000ull)};
    long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                          until_nanoseconds ? &until : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
    return result < 0 ? -errno : 0;
}
static inline int platter_futex_wake(uint32_t *word, int count) {
    long result = syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    return result < 0 ? -errno : (int)result;
}

static inline uint64_t platter_clock(int clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

// Address space without memory behind it until it is touched. NULL on failure.
static inline void *platter_reserve(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int platter_set_thread_name(const char *name);
int platter_thread_number(void);
const char *platter_errno_name(int number);

#include "cp_net.h"
#include "cp_child.h"
#include "cp_fuse.h"
