// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cp_child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Nothing that this process has open without close-on-exec, by its parent's or a library's fault, is handed down.
static void keep_only(posix_spawn_file_actions_t *actions, int first) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(actions, first);
#else
    (void)actions, (void)first;
#endif
}

static void set_signals(posix_spawnattr_t *attributes, int place) {
    sigset_t held, usual;
    sigemptyset(&held);
    sigfillset(&usual);
    // Held, not ignored: from its first instruction on, and in what it starts.
    if (place == PLATTER_CHILD_SESSION) {
        sigaddset(&held, SIGTERM);
        sigaddset(&held, SIGINT);
        sigaddset(&held, SIGHUP);
    }
    posix_spawnattr_setsigmask(attributes, &held);
    posix_spawnattr_setsigdefault(attributes, &usual);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (place == PLATTER_CHILD_GROUP) flags |= POSIX_SPAWN_SETPGROUP;
    if (place == PLATTER_CHILD_SESSION) flags |= POSIX_SPAWN_SETSID;
    posix_spawnattr_setflags(attributes, flags);
}

int platter_start_program(const char *path, char *const *arguments, char *const *environment,
                          const struct platter_child_files *files, int place) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    set_signals(&attributes, place);
    // Numbers above 3 first: what is handed down could itself be one of those that it becomes.
    int kept[4] = {-1, -1, -1, -1}, given[4] = {files->input, files->output, files->errors, files->third}, error = 0;
    for (int i = 0; i < 4 && !error; i++) {
        if (given[i] < 0 || (place == PLATTER_CHILD_SHARED && i < 3)) continue;
        kept[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 10);
        if (kept[i] < 0) error = errno;
    }
    for (int i = 0; i < 4; i++) {
        if (kept[i] >= 0)
            posix_spawn_file_actions_adddup2(&actions, kept[i], i);
        else if (i < 3 && place != PLATTER_CHILD_SHARED)
            posix_spawn_file_actions_addopen(&actions, i, "/dev/null", i ? O_WRONLY : O_RDONLY, 0);
    }
    if (place != PLATTER_CHILD_SHARED) keep_only(&actions, given[3] >= 0 ? 4 : 3);
    pid_t child = 0;
    if (!error) error = posix_spawn(&child, path, &actions, &attributes, arguments, environment);
    for (int i = 0; i < 4; i++)
        if (kept[i] >= 0) close(kept[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error ? -error : (int)child;
}

void platter_await_program(int child) {
    siginfo_t information;
    while (waitid(P_PID, (id_t)child, &information, WEXITED | WNOWAIT) < 0 && errno == EINTR) {}
}

int platter_has_ended(int child) {
    siginfo_t information = {0};
    if (waitid(P_PID, (id_t)child, &information, WEXITED | WNOWAIT | WNOHANG) < 0) return errno == ECHILD;
    return information.si_pid == child;
}

int platter_take_program(int child) {
    int status = 0;
    pid_t found;
    do found = waitpid(child, &status, 0);
    while (found < 0 && errno == EINTR);
    return found < 0 ? -errno : status;
}

int platter_watch_program(int child) {
    int fd = (int)syscall(434 /* SYS_pidfd_open */, child, 0);
    return fd < 0 ? -errno : fd;
}

int platter_poll(const int *descriptors, int count, int milliseconds) {
    struct pollfd wanted[4];
    if (count > 4) return -EINVAL;
    for (int i = 0; i < count; i++) wanted[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    int n = poll(wanted, (nfds_t)count, milliseconds);
    if (n < 0) return 0;
    int ready = 0;
    for (int i = 0; i < count; i++)
        if (wanted[i].revents) ready |= 1 << i;
    return ready;
}
