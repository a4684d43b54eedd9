// SPDX-License-Identifier: Apache-2.0
// io_uring by its system calls. The numbers are the kernel's ABI and are kept here, because the headers of a
// distribution are older than its users' kernels.
#pragma once
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct platter_sqe {
    uint8_t opcode, flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off, addr;
    uint32_t len, op_flags;
    uint64_t user_data;
    uint16_t buf_index, personality;
    int32_t splice_fd;
    uint64_t addr3, pad;
};

struct platter_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct platter_ring_params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, reserved[3];
    struct { uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved1; uint64_t user_addr; } sq;
    struct { uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved1; uint64_t user_addr; } cq;
};

struct platter_ring_probe {
    uint8_t last_op, ops_len;
    uint16_t reserved;
    uint32_t reserved2[3];
    struct { uint8_t op, reserved; uint16_t flags; uint32_t reserved2; } ops[64];
};

enum {
    PLATTER_RING_OP_FSYNC = 3,
    PLATTER_RING_OP_ASYNC_CANCEL = 14,
    PLATTER_RING_OP_FALLOCATE = 17,
    PLATTER_RING_OP_READ = 22,
    PLATTER_RING_OP_WRITE = 23,
    PLATTER_RING_FSYNC_DATASYNC = 1,
    PLATTER_RING_FEATURE_SINGLE_MMAP = 1,
    PLATTER_RING_FEATURE_NODROP = 1 << 1,
    PLATTER_RING_SETUP_DISABLED = 1 << 6,
    PLATTER_RING_SETUP_SUBMIT_ALL = 1 << 7,
    PLATTER_RING_SETUP_COOP_TASKRUN = 1 << 8,
    PLATTER_RING_SETUP_SINGLE_ISSUER = 1 << 12,
    PLATTER_RING_SETUP_DEFER_TASKRUN = 1 << 13,
    PLATTER_RING_ENTER_GETEVENTS = 1,
    PLATTER_RING_REGISTER_PROBE = 8,
    PLATTER_RING_REGISTER_ENABLE = 12,
};

// A descriptor, or a negative error number.
static inline int platter_ring_setup(uint32_t entries, struct platter_ring_params *params) {
    long result = syscall(425, entries, params);
    return result < 0 ? -errno : (int)result;
}

// How many were submitted, or a negative error number.
static inline int platter_ring_enter(int fd, uint32_t submit, uint32_t complete, uint32_t flags) {
    long result = syscall(426, fd, submit, complete, flags, (void *)0, 0);
    return result < 0 ? -errno : (int)result;
}

static inline int platter_ring_register(int fd, uint32_t opcode, void *argument, uint32_t count) {
    long result = syscall(427, fd, opcode, argument, count);
    return result < 0 ? -errno : (int)result;
}

// One of the ring's three areas; NULL on failure.
static inline void *platter_ring_map(int fd, size_t bytes, uint64_t area) {
    void *p = mmap((void *)0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)area);
    return p == MAP_FAILED ? (void *)0 : p;
}
static inline void *platter_ring_map_queues(int fd, size_t bytes) { return platter_ring_map(fd, bytes, 0); }
static inline void *platter_ring_map_entries(int fd, size_t bytes) { return platter_ring_map(fd, bytes, 0x10000000ull); }

// The indices that are shared with the kernel: what it publishes is acquired, what we publish is released.
static inline uint32_t platter_ring_load(const uint32_t *index) { return __atomic_load_n(index, __ATOMIC_ACQUIRE); }
static inline void platter_ring_store(uint32_t *index, uint32_t value) {
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

// A counter that can be waited for; close-on-exec.
static inline int platter_eventfd(void) {
    long result = syscall(SYS_eventfd2, 0, 02000000);
    return result < 0 ? -errno : (int)result;
}
static inline int platter_eventfd_signal(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) < 0 ? -errno : 0;
}
