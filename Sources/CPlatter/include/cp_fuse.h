// SPDX-License-Identifier: Apache-2.0
// The kernel's FUSE device, mounts, and programs that help with them.
// Everything returns a negative error number on failure.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// The FUSE device, for one mount; calls on it do not wait.
int platter_fuse_open(void);
// Mounts without set-user-id programs and devices.
int platter_fuse_mount(const char *source, const char *directory, const char *type, const char *options);
int platter_unmount(const char *directory, int lazily);
// One message, from several places.
long platter_writev(int fd, const struct iovec *parts, int count);
// Two ends that keep messages apart.
int platter_packet_pair(int *first, int *second);
// A descriptor that the other end of a socket sent; 0 at its end, else the descriptor, which is never 0 here.
int platter_receive_descriptor(int socket);
int platter_pipe(int *reading, int *writing);
// A file without a name.
int platter_memory_file(const char *name);
// 1: readable or ended, 0: the time (in milliseconds) is over.
int platter_wait_readable(int fd, int milliseconds);
