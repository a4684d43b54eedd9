// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CPlatter.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread uintptr_t platter_thread_stripes = 0;
__thread uintptr_t platter_thread_inside = 0;
__thread uintptr_t platter_thread_put_off_head = 0;
__thread uintptr_t platter_thread_put_off_tail = 0;

int platter_under_thread_sanitizer(void) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return 1;
#endif
#endif
    return 0;
}

int platter_under_address_sanitizer(void) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 1;
#endif
#endif
    return 0;
}

int platter_set_thread_name(const char *name) { return pthread_setname_np(pthread_self(), name); }

int platter_thread_number(void) { return (int)syscall(SYS_gettid); }

const char *platter_errno_name(int number) { return strerrorname_np(number); }

int platter_file_is_at(int fd, const char *path) {
    struct stat open, found;
    return fstat(fd, &open) == 0 && stat(path, &found) == 0 && open.st_ino == found.st_ino &&
           open.st_dev == found.st_dev;
}
