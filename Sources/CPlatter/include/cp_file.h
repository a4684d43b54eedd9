// SPDX-License-Identifier: Apache-2.0
// What image files and block devices need beyond open, fstat and close.
// Everything returns a negative error number on failure.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PLATTER_FALLOC_KEEP_SIZE = 1,
    PLATTER_FALLOC_PUNCH_HOLE = 2,
    PLATTER_FALLOC_ZERO_RANGE = 16,
    PLATTER_RWF_DSYNC = 2,
    PLATTER_OPEN_WRITE = 1,
    PLATTER_OPEN_DIRECT = 2,
    PLATTER_OPEN_CREATE = 4,
    PLATTER_OPEN_EXCLUSIVE = 8,
    PLATTER_FILE_OTHER = 0,
    PLATTER_FILE_REGULAR = 1,
    PLATTER_FILE_BLOCK = 2,
    PLATTER_FILE_DIRECTORY = 3,
};

// Opens without blocking on a FIFO, and blocks afterwards: io_uring takes O_NONBLOCK as "never wait".
static inline int platter_file_open(const char *path, int how) {
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (how & PLATTER_OPEN_WRITE ? O_RDWR : O_RDONLY);
#if defined(__x86_64__) || defined(__i386__)
    if (how & PLATTER_OPEN_DIRECT) flags |= 040000;
#elif defined(__aarch64__) || defined(__arm__)
    if (how & PLATTER_OPEN_DIRECT) flags |= 0200000;
#else
#error "O_DIRECT of this architecture is not known here"
#endif
    if (how & PLATTER_OPEN_CREATE) flags |= O_CREAT | O_EXCL;
    if (how & PLATTER_OPEN_EXCLUSIVE) flags |= O_EXCL;
    int fd = open(path, flags, 0644);
    if (fd < 0) return -errno;
    int now = fcntl(fd, F_GETFL);
    if (now < 0 || fcntl(fd, F_SETFL, now & ~O_NONBLOCK) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}
// The lock goes by itself first: a child between fork and exec has the description open, too, and would keep it.
static inline void platter_file_close(int fd) {
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(fd, 37 /* F_OFD_SETLK */, &lock);
    close(fd);
}

struct platter_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask, times[8];
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id;
    uint32_t dio_mem_align, dio_offset_align;
    uint64_t spare[12];
};

struct platter_file_facts {
    int kind;
    uint64_t size;
    uint32_t block_size, logical_block, physical_block, optimal_io;
    uint32_t knows_direct, direct_memory, direct_offset;
    uint32_t rotational;
};

static inline int platter_block_size(int fd, uint64_t *bytes) {
    return ioctl(fd, 0x80081272ul /* BLKGETSIZE64 */, bytes) < 0 ? -errno : 0;
}

// Has the kernel read the partition table of a block device again. -EBUSY while one of its partitions is in use.
static inline int platter_block_reread(int fd) { return ioctl(fd, 0x125f /* BLKRRPART */) < 0 ? -errno : 0; }

static inline int platter_file_facts(int fd, struct platter_file_facts *facts) {
    struct platter_statx s = {0};
    if (syscall(SYS_statx, fd, "", 0x1000 /* AT_EMPTY_PATH */, 0x7ff | 0x2000 /* basic, DIOALIGN */, &s) < 0)
        return -errno;
    *facts = (struct platter_file_facts){0};
    facts->size = s.size;
    facts->block_size = s.blksize;
    facts->knows_direct = (s.mask & 0x2000) != 0;
    facts->direct_memory = s.dio_mem_align;
    facts->direct_offset = s.dio_offset_align;
    switch (s.mode & 0170000) {
    case 0100000: facts->kind = PLATTER_FILE_REGULAR; return 0;
    case 0040000: facts->kind = PLATTER_FILE_DIRECTORY; return 0;
    case 0060000: break;
    default: facts->kind = PLATTER_FILE_OTHER; return 0;
    }
    facts->kind = PLATTER_FILE_BLOCK;
    int logical = 512;
    unsigned physical = 512, optimal = 0;
    unsigned short rotational = 0;
    if (ioctl(fd, 0x1268 /* BLKSSZGET */, &logical) < 0) return -errno;
    (void)ioctl(fd, 0x127b /* BLKPBSZGET */, &physical);
    (void)ioctl(fd, 0x1279 /* BLKIOOPT */, &optimal);
    (void)ioctl(fd, 0x127e /* BLKROTATIONAL */, &rotational);
    facts->logical_block = (uint32_t)logical;
    facts->physical_block = physical;
    facts->optimal_io = optimal;
    facts->rotational = rotational;
    return platter_block_size(fd, &facts->size);
}

// A lock of the open file description: it keeps off other processes and other opens of this one. -EAGAIN if taken.
static inline int platter_file_lock(int fd, int exclusive) {
    struct flock lock = {.l_type = (short)(exclusive ? F_WRLCK : F_RDLCK), .l_whence = SEEK_SET};
    return fcntl(fd, 37 /* F_OFD_SETLK */, &lock) < 0 ? -errno : 0;
}

static inline int64_t platter_file_read(int fd, void *memory, size_t count, uint64_t offset) {
    ssize_t result = pread(fd, memory, count, (off_t)offset);
    return result < 0 ? -errno : result;
}
static inline int64_t platter_file_write(int fd, void *memory, size_t count, uint64_t offset, int flags) {
    struct iovec vector = {memory, count};
    // The last but one word is the high half of the offset, which a 64-bit kernel does not look at.
    long result = flags ? syscall(SYS_pwritev2, fd, &vector, 1, offset, 0, flags) : pwrite(fd, memory, count, offset);
    return result < 0 ? -errno : result;
}
static inline int platter_file_sync(int fd) { return fdatasync(fd) < 0 ? -errno : 0; }
static inline int platter_file_allocate(int fd, int mode, uint64_t offset, uint64_t count) {
    return syscall(SYS_fallocate, fd, mode, offset, count) < 0 ? -errno : 0;
}
static inline int platter_file_truncate(int fd, uint64_t size) { return ftruncate(fd, (off_t)size) < 0 ? -errno : 0; }
// Whether a path leads to an open file.
int platter_file_is_at(int fd, const char *path);
static inline int platter_file_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
// The next data (hole = 0) or hole (hole = 1) at or after the offset; -ENXIO past the end.
static inline int64_t platter_file_seek(int fd, uint64_t offset, int hole) {
    off_t result = lseek(fd, (off_t)offset, hole ? 4 : 3);
    return result < 0 ? -errno : (int64_t)result;
}
