// SPDX-License-Identifier: Apache-2.0
// Sockets, epoll and eventfd. Everything returns a negative error number on failure.
#pragma once
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

// The reactor that this thread runs, as a number; 0: none.
extern __thread uintptr_t platter_thread_reactor __attribute__((tls_model("initial-exec")));
static inline uintptr_t platter_get_reactor(void) { return platter_thread_reactor; }
static inline void platter_set_reactor(uintptr_t value) { platter_thread_reactor = value; }

static inline long platter_read(int fd, void *to, size_t count) {
    for (;;) {
        ssize_t n = read(fd, to, count);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}
static inline long platter_readv(int fd, const struct iovec *parts, int count) {
    for (;;) {
        ssize_t n = readv(fd, parts, count);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}
// Never raises SIGPIPE on a socket.
long platter_send(int fd, const void *from, size_t count);
long platter_sendv(int fd, const struct iovec *parts, int count);

int platter_epoll_create(void);
// interest: 1 read, 2 write; 0 keeps only errors and hang-ups.
int platter_epoll_add(int epoll, int fd, uint32_t interest, uint64_t data);
int platter_epoll_change(int epoll, int fd, uint32_t interest, uint64_t data);
int platter_epoll_remove(int epoll, int fd);
// timeout in nanoseconds; negative: for ever.
int platter_epoll_wait(int epoll, struct epoll_event *events, int count, int64_t timeout);
// The event is packed: C counts in its array.
static inline uint64_t platter_event_data(const struct epoll_event *events, int at) { return events[at].data.u64; }
static inline uint32_t platter_event_kinds(const struct epoll_event *events, int at) { return events[at].events; }

int platter_eventfd(void);
int platter_eventfd_raise(int fd);
void platter_eventfd_lower(int fd);

// A socket that listens on a path; -EADDRINUSE if somebody answers there, a file that nobody answers on is replaced.
// mode < 0: as the umask says.
int platter_listen_unix(const char *path, int mode, int backlog);
int platter_connect_unix(const char *path);
// port is text; host may be empty (every address). -EADDRNOTAVAIL where the host means nothing.
int platter_listen_tcp(const char *host, const char *port, int backlog);
int platter_connect_tcp(const char *host, const char *port);
int platter_socket_pair(int *first, int *second);
int platter_accept(int fd);
// 1: unix, 2: tcp, 0: something else.
int platter_socket_kind(int fd);
int platter_is_listening(int fd);
// No delay, larger buffers.
void platter_tune_socket(int fd);
int platter_peer_credentials(int fd, int32_t *process, uint32_t *user);
// "1.2.3.4:5" or "[::1]:5".
int platter_peer_name(int fd, char *to, size_t count);
int platter_local_name(int fd, char *to, size_t count);
int platter_set_nonblocking(int fd);
int platter_shutdown_write(int fd);
int platter_shutdown(int fd);
int platter_reserve_descriptor(void);
int platter_read_small_file(const char *path, char *to, size_t count);
int platter_processors(void);
int platter_unlink(const char *path);
