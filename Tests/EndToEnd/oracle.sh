#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The answers that Tests/Oracle keeps of a kernel are those of a kernel: one in user mode is asked again.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=Tests/EndToEnd/uml.sh
. "$(dirname "${BASH_SOURCE[0]}")/uml.sh"

guest_script() {
    cat <<GUEST
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmp /run
insmod "$1"
"$dir/oracle" "$oracle/script.txt" /run
echo o >/proc/sysrq-trigger
while :; do :; done
GUEST
}

# limit a_kernel_still_answers_what_is_written 90
test_a_kernel_still_answers_what_is_written() {
    local oracle module
    oracle=$(cd "$here/../Oracle" && pwd -P)
    need_root
    need linux.uml insmod gcc
    module=$(find /usr/lib/uml -name 'loop.ko*' 2>/dev/null | head -n 1)
    [[ -n $module ]] || skip 'the kernel in user mode has no module loop'
    gcc -O1 -Wall -Werror -static -o "$dir/oracle" "$oracle/kernel.c" 2>"$dir/err" || fail "$(head -n 1 "$dir/err")"
    guest_script "$module" >"$dir/guest"
    chmod 755 "$dir/guest"
    boot_guest "$dir/guest"
    ended 60 "$guest"
    # Other lines are the kernel's own, on the same console.
    tr -d '\r' <"$dir/guest.log" | sed -n '/^o1: /,/^end$/p' | grep -E '^([a-z]+[0-9]+: |= |  )' >"$dir/said" || true
    diff -u "$oracle/kernel.txt" "$dir/said" >"$dir/diff" || fail "$(grep -m 1 '^[-+][^-+]' "$dir/diff")"
}

main "$@"
