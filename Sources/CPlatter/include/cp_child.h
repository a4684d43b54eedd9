// SPDX-License-Identifier: Apache-2.0
// Programs that run as children of this process.
// Everything returns a negative error number on failure.
#pragma once

enum {
    // Our process group, and what we have open without close-on-exec.
    PLATTER_CHILD_SHARED = 0,
    // A process group of its own.
    PLATTER_CHILD_GROUP = 1,
    // A session of its own, with the signals that ask to end held back for ever.
    PLATTER_CHILD_SESSION = 2,
};

// What a child has as descriptors 0 to 3; -1: nothing. One that shares all has our first three, whatever stands here.
struct platter_child_files {
    int input, output, errors, third;
};

// Starts a program. Unless it shares all, nothing else is handed down. Signals are as for a fresh program.
int platter_start_program(const char *path, char *const *arguments, char *const *environment,
                          const struct platter_child_files *files, int place);
// Waits for a child's end, and leaves it to be taken.
void platter_await_program(int child);
// 1: it has ended and can be taken, or is nobody any more.
int platter_has_ended(int child);
// Waits for a child's end and takes it: its status, as waitpid has it.
int platter_take_program(int child);
// A descriptor that becomes readable with a child's end. -ENOSYS before Linux 5.3.
int platter_watch_program(int child);
// Which of at most four descriptors are readable or at their end, a bit each; -1 is none. 0: the time is over, or a signal came.
int platter_poll(const int *descriptors, int count, int milliseconds);
