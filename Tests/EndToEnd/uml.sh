# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # lib.sh sets dir
# A Linux kernel in user mode whose root is this machine's own, read only. Sourced by tests, after lib.sh.

# The kernel in user mode takes the CPU's register state for smaller than it is on newer CPUs.
shim() {
    cat >"$dir/shim.c" <<'C'
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
/* PTRACE_SETREGSET of NT_X86_XSTATE with less than all of it is refused: fill up with what is there. */
long ptrace(enum __ptrace_request request, ...) {
    va_list list;
    va_start(list, request);
    pid_t pid = va_arg(list, pid_t);
    void *address = va_arg(list, void *), *data = va_arg(list, void *);
    va_end(list);
    if ((unsigned)request == 0x4205 && (long)address == 0x202) {
        struct iovec *given = data;
        static __thread char state[65536] __attribute__((aligned(64)));
        struct iovec whole = {state, sizeof state};
        if (!syscall(SYS_ptrace, 0x4204, pid, address, &whole) && whole.iov_len > given->iov_len) {
            memcpy(state, given->iov_base, given->iov_len);
            return syscall(SYS_ptrace, request, pid, address, &whole);
        }
    }
    if (request >= 1 && request <= 3) {
        long word, result = syscall(SYS_ptrace, request, pid, address, &word);
        return result < 0 ? result : word;
    }
    return syscall(SYS_ptrace, request, pid, address, data);
}
C
    gcc -O2 -shared -fPIC -nostartfiles -o "$dir/shim.so" "$dir/shim.c"
}

# boot_guest SCRIPT [PARAMETER...]: the script is its first process; what it says is in $dir/guest.log.
boot_guest() {
    local script=$1
    shift
    shim
    # Its processes are stopped under its hand: they end with their group.
    HOME=$dir LD_PRELOAD=$dir/shim.so setsid linux.uml mem=256M rootfstype=hostfs rootflags=/ ro "init=$script" \
        "$@" con=null con0=null,fd:1 ssl=null quiet >"$dir/guest.log" 2>&1 </dev/null &
    guest=$!
    at_end+=("kill -KILL -- -$guest 2>/dev/null")
}
said() { grep -qa "guest: $1" "$dir/guest.log"; }
said_or_ended() { said "$1" || is_ended "$guest"; }
