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
"$dir/oracle" "$oracle/script.txt" brd "$2"
echo o >/proc/sysrq-trigger
while :; do :; done
GUEST
}

# limit a_kernel_still_answers_what_is_written 90
test_a_kernel_still_answers_what_is_written() {
    local oracle module ram
    oracle=$(cd "$here/../Oracle" && pwd -P)
    need_root
    need linux.uml insmod gcc
    module=$(find /usr/lib/uml -name 'loop.ko*' 2>/dev/null | head -n 1)
    [[ -n $module ]] || skip 'the kernel in user mode has no module loop'
    ram=$(find /usr/lib/uml -name 'brd.ko*' 2>/dev/null | head -n 1)
    [[ -n $ram ]] || skip 'the kernel in user mode has no module brd'
    build_oracle
    guest_script "$module" "$ram" >"$dir/guest"
    chmod 755 "$dir/guest"
    boot_guest "$dir/guest"
    ended 60 "$guest"
    # Other lines are the kernel's own, on the same console. The loop disk speaks first, then the RAM disk.
    tr -d '\r' <"$dir/guest.log" | sed -n '/^o1: /,$p' | grep -E '^([a-z]+[0-9]+: |= |  |end$)' >"$dir/said" || true
    sed '/^end$/,$d' "$dir/said" >"$dir/kernel.txt"
    sed '1,/^end$/d' "$dir/said" | sed '/^end$/,$d' >"$dir/kernel-brd.txt"
    local file
    for file in kernel.txt kernel-brd.txt; do
        diff -u "$oracle/$file" "$dir/$file" >"$dir/diff" || fail "$file: $(grep -m 1 '^[-+][^-+]' "$dir/diff")"
    done
}

build_oracle() {
    gcc -O1 -Wall -Werror -static -o "$dir/oracle" "$oracle/kernel.c" 2>"$dir/err" || fail "$(head -n 1 "$dir/err")"
}

# limit the_kernel_of_this_machine_answers_so_too 60
test_the_kernel_of_this_machine_answers_so_too() {
    local oracle
    oracle=$(cd "$here/../Oracle" && pwd -P)
    need_root
    need gcc losetup
    [[ -c /dev/loop-control ]] || skip 'this machine has no loop devices'
    losetup -f >"$dir/out" 2>&1 || skip 'this machine has no free loop device'
    [[ $(stat -f -c %T /dev) == tmpfs ]] && ! mountpoint -q /dev && skip '/dev is not kept by the kernel'
    build_oracle
    "$dir/oracle" "$oracle/script.txt" "$dir" >"$dir/said" 2>"$dir/err" || skip "no loop device: $(head -n 1 "$dir/err")"
    # Where it says something else than the kernel of the list, it says what we do: then it is a newer one.
    "$python" - "$oracle/kernel.txt" "$dir/said" "$here/../../docs/kernel-differences.md" >"$dir/diff" <<'PYTHON' || fail "$(head -n 1 "$dir/diff")"
import re, sys

def transcript(path):
    answers, label = {}, None
    for line in open(path):
        line = line.rstrip("\n")
        if line.startswith(("= ", "  ")):
            answers[label] = answers.get(label, []) + [line[2:]]
        elif ":" in line:
            label = line.split(":")[0]
    return {label: "; ".join(lines) for label, lines in answers.items()}

old, now = transcript(sys.argv[1]), transcript(sys.argv[2])
ours = {}
for line in open(sys.argv[3]):
    if line.startswith("## "):
        break
    if line.startswith("| `"):
        cells = [cell.replace("`", "").strip() for cell in line.split("|")]
        ours.update({label: cells[4] for label in cells[1].split()})
# A kernel may be built without this kind of table: then nothing of what follows from it can be compared.
knows_tables = now.get("r5") != "none"
# Its partitions have nodes only where somebody makes them.
wrong = []
for label, answer in old.items():
    if not knows_tables and label.startswith("r"):
        continue
    said = now.get(label, "nothing")
    pattern = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", ours.get(label, "\0")))
    if said != answer and not re.fullmatch(pattern, said) and said.replace(",PARTUUID", "") != answer:
        wrong.append(f"{label}: {said} instead of {answer}")
print("\n".join(wrong[:20]))
sys.exit(1 if wrong else 0)
PYTHON
}

main "$@"
