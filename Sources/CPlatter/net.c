// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cp_net.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

__thread uintptr_t platter_thread_reactor = 0;

long platter_send(int fd, const void *from, size_t count) {
    for (;;) {
        ssize_t n = send(fd, from, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

long platter_sendv(int fd, const struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    for (;;) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

int platter_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static uint32_t kinds(uint32_t interest) {
    return (interest & 1 ? EPOLLIN : 0u) | (interest & 2 ? EPOLLOUT : 0u);
}

int platter_epoll_add(int epoll, int fd, uint32_t interest, uint64_t data) {
    struct epoll_event event = {.events = kinds(interest), .data.u64 = data};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int platter_epoll_change(int epoll, int fd, uint32_t interest, uint64_t data) {
    struct epoll_event event = {.events = kinds(interest), .data.u64 = data};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) ? -errno : 0;
}

int platter_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) ? -errno : 0; }

int platter_epoll_wait(int epoll, struct epoll_event *events, int count, int64_t timeout) {
    int n;
    if (timeout <= 0) {
        n = epoll_wait(epoll, events, count, timeout < 0 ? -1 : 0);
    } else {
        // Rounded up: a timer that is a fraction of a millisecond away must not make the loop spin.
        int64_t milliseconds = (timeout + 999999) / 1000000;
        n = epoll_wait(epoll, events, count, milliseconds > 3600000 ? 3600000 : (int)milliseconds);
    }
    return n < 0 ? -errno : n;
}

int platter_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int platter_eventfd_raise(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) < 0 ? -errno : 0;
}

void platter_eventfd_lower(int fd) {
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) return;
}

static int unix_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

static int closing(int fd, int result) {
    close(fd);
    return result;
}

int platter_connect_unix(const char *path) {
    struct sockaddr_un address;
    int result = unix_address(&address, path);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        if (errno != EINTR) return closing(fd, -errno);
    return fd;
}

int platter_listen_unix(const char *path, int mode, int backlog) {
    struct sockaddr_un address;
    int result = unix_address(&address, path);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    // The socket has its mode before the file exists: nobody can slip in between bind and chmod.
    if (mode >= 0 && fchmod(fd, (mode_t)mode) < 0) return closing(fd, -errno);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (errno != EADDRINUSE) return closing(fd, -errno);
        struct stat status;
        // Only a socket is taken away, and only one that nobody answers on.
        if (lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode)) return closing(fd, -EADDRINUSE);
        int other = platter_connect_unix(path);
        if (other >= 0) close(other);
        if (other != -ECONNREFUSED) return closing(fd, -EADDRINUSE);
        if (unlink(path) < 0 && errno != ENOENT) return closing(fd, -errno);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return closing(fd, -errno);
    }
    if (mode >= 0 && chmod(path, (mode_t)mode) < 0) return closing(fd, -errno);
    if (listen(fd, backlog) < 0) return closing(fd, -errno);
    return fd;
}

static int resolve(const char *host, const char *port, int passive, struct addrinfo **found) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    hints.ai_flags = (passive ? AI_PASSIVE : 0) | AI_NUMERICSERV;
    int result = getaddrinfo(host && *host ? host : NULL, port, &hints, found);
    if (result == EAI_SYSTEM) return -errno;
    return result == EAI_MEMORY ? -ENOMEM : result ? -EADDRNOTAVAIL : 0;
}

int platter_listen_tcp(const char *host, const char *port, int backlog) {
    struct addrinfo *found = NULL;
    int result = resolve(host, port, 1, &found);
    if (result < 0) return result;
    result = -EADDRNOTAVAIL;
    // A name with several addresses means the first that can be bound, of version 4 if there is one; no name means all.
    int any = !host || !*host;
    for (int pass = 0; pass < 2 && result < 0; pass++) {
        for (struct addrinfo *each = found; each && result < 0; each = each->ai_next) {
            if ((each->ai_family == AF_INET) == (any ? pass == 1 : pass == 0)) {
                int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (fd < 0) { result = -errno; continue; }
                int on = 1, only = !any;
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
                if (each->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
                if (bind(fd, each->ai_addr, each->ai_addrlen) < 0 || listen(fd, backlog) < 0)
                    result = closing(fd, -errno);
                else
                    result = fd;
            }
        }
    }
    freeaddrinfo(found);
    return result;
}

int platter_connect_tcp(const char *host, const char *port) {
    struct addrinfo *found = NULL;
    int result = resolve(host, port, 0, &found);
    if (result < 0) return result;
    result = -EADDRNOTAVAIL;
    for (struct addrinfo *each = found; each && result < 0; each = each->ai_next) {
        int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) { result = -errno; continue; }
        result = connect(fd, each->ai_addr, each->ai_addrlen) < 0 ? closing(fd, -errno) : fd;
    }
    freeaddrinfo(found);
    return result;
}

int platter_socket_pair(int *first, int *second) {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) < 0) return -errno;
    *first = both[0];
    *second = both[1];
    return 0;
}

int platter_accept(int fd) {
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return client < 0 ? -errno : client;
}

int platter_socket_kind(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0) return -errno;
    return domain == AF_UNIX ? 1 : domain == AF_INET || domain == AF_INET6 ? 2 : 0;
}

int platter_is_listening(int fd) {
    int yes = 0;
    socklen_t size = sizeof yes;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) < 0 ? -errno : yes;
}

void platter_tune_socket(int fd) {
    int on = 1, room = 1 << 20;
    if (platter_socket_kind(fd) == 2) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        return;  // its buffers grow by themselves, and only while nobody has set them
    }
    // The larger size is for those who may; others get what the limit of the machine allows.
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

int platter_peer_credentials(int fd, int32_t *process, uint32_t *user) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    *process = peer.pid;
    *user = peer.uid;
    return 0;
}

static int write_name(const struct sockaddr_storage *address, socklen_t size, char *to, size_t count) {
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (address->ss_family != AF_INET && address->ss_family != AF_INET6) return -EAFNOSUPPORT;
    if (getnameinfo((const struct sockaddr *)address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return -EINVAL;
    int n = snprintf(to, count, address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return n < 0 || (size_t)n >= count ? -ENAMETOOLONG : n;
}

int platter_peer_name(int fd, char *to, size_t count) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0) return -errno;
    return write_name(&address, size, to, count);
}

int platter_local_name(int fd, char *to, size_t count) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) return -errno;
    if (address.ss_family == AF_UNIX) {
        const char *path = ((struct sockaddr_un *)&address)->sun_path;
        if (size <= offsetof(struct sockaddr_un, sun_path) || !*path) return -ENOENT;
        size_t length = strnlen(path, sizeof ((struct sockaddr_un *)0)->sun_path);
        if (length >= count) return -ENAMETOOLONG;
        memcpy(to, path, length);
        to[length] = 0;
        return (int)length;
    }
    return write_name(&address, size, to, count);
}

int platter_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int platter_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

int platter_shutdown(int fd) { return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0; }

int platter_reserve_descriptor(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int platter_read_small_file(const char *path, char *to, size_t count) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    long n = platter_read(fd, to, count);
    return closing(fd, (int)n);
}

int platter_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

int platter_unlink(const char *path) { return unlink(path) ? -errno : 0; }
