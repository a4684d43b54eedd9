// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cp_fuse.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

int platter_fuse_open(void) {
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int platter_fuse_mount(const char *source, const char *directory, const char *type, const char *options) {
    return mount(source, directory, type, MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

int platter_unmount(const char *directory, int lazily) {
    return umount2(directory, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

long platter_writev(int fd, const struct iovec *parts, int count) {
    for (;;) {
        ssize_t n = writev(fd, parts, count);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

int platter_packet_pair(int *first, int *second) {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) < 0) return -errno;
    int size = 8 << 20;
    for (int end = 0; end < 2; end++) {
        setsockopt(both[end], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        setsockopt(both[end], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    }
    *first = both[0];
    *second = both[1];
    return 0;
}

int platter_receive_descriptor(int socket) {
    char byte, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(size_t))));
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n;
    do n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    if (n == 0) return 0;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return -EPROTO;
    int fd;
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    if (fd == 0) {
        fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
        close(0);
    }
    return fd < 0 ? -EPROTO : fd;
}

int platter_pipe(int *reading, int *writing) {
    int both[2];
    if (pipe2(both, O_CLOEXEC) < 0) return -errno;
    *reading = both[0];
    *writing = both[1];
    return 0;
}

int platter_memory_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int platter_wait_readable(int fd, int milliseconds) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int n;
    // From the start again: a signal is no end of the time.
    do n = poll(&wanted, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
