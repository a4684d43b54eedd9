#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Linux kernel is the client: one in user mode, whose root is this machine's own, read only.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=Tests/EndToEnd/uml.sh
. "$here/uml.sh"

# What the kernel's first process does. It speaks in lines that begin with "guest:".
guest_script() {
    cat <<'GUEST'
#!/bin/bash
# Replaced by a line that sets PATH, MODULE and NAME.
say() { echo "guest: $*"; }
off() {
    say end
    echo o >/proc/sysrq-trigger
    while :; do :; done
}
try() {
    local what=$1
    shift
    if "$@" >/run/log 2>&1; then say "$what"; else say "not $what: $(tail -n 1 /run/log)" && off; fi
}
mount -t proc proc /proc; mount -t sysfs sysfs /sys
mount -t tmpfs tmp /run; mount -t tmpfs tmp /mnt; mkdir /mnt/disk
try 'module loaded' insmod "$MODULE"
ip addr add 10.9.9.2/24 dev vec0; ip link set vec0 up
try connected nbd-client -N "$NAME" -b 512 -C 2 10.9.9.1 10809 /dev/nbd0
SECONDS=0
# The first open looks for partitions.
say "size $(blockdev --getsize64 /dev/nbd0)"
until [[ -b /dev/nbd0p2 ]] || ((SECONDS > 5)); do :; done
say "partitions $(cd /sys/block/nbd0 && echo nbd0p*)"
try made mkfs.ext4 -q -F /dev/nbd0p1
try mounted mount /dev/nbd0p1 /mnt/disk
echo kept >/mnt/disk/kept; sync; echo 3 >/proc/sys/vm/drop_caches
say "read $(cat /mnt/disk/kept)"
for ((i = 0; i < 100000; i++)); do
    if ! error=$(dd if=/dev/zero of=/mnt/disk/file$((i % 8)) bs=64k count=8 conv=fsync 2>&1); then
        say "failed: $(head -n 1 <<<"$error")"
        break
    fi
    ((i == 20)) && say loaded
done
umount /mnt/disk; say "umount $?"
nbd-client -d /dev/nbd0 >/dev/null 2>&1; say "disconnect $?"
off
GUEST
}

# enter_network TEST: starts the test again in a network of its own, with a tap that only the guest is behind.
enter_network() {
    need_root
    need linux.uml insmod gcc ip unshare nbd-client mkfs.ext4 sgdisk
    [[ -c /dev/net/tun ]] || skip 'there is no /dev/net/tun'
    [[ -n $(find /usr/lib/uml -name 'nbd.ko*' 2>/dev/null) ]] || skip 'the kernel in user mode has no nbd module'
    if [[ -z ${IN_NETWORK:-} ]]; then
        unshare -n true 2>/dev/null || skip 'no network of its own can be made here'
        rmdir "$dir/run" "$dir/etc"
        IN_NETWORK=1 exec unshare -n bash "${BASH_SOURCE[0]}" "$1"
    fi
    ip link set lo up
    ip tuntap add tap0 mode tap 2>"$dir/err" || skip "no tap device can be made: $(cat "$dir/err")"
    ip addr add 10.9.9.1/24 dev tap0
    ip link set tap0 up
}

boot() {
    local module
    module=$(find /usr/lib/uml -name 'nbd.ko*' | head -n 1)
    guest_script | sed "2s|.*|export PATH=/usr/sbin:/usr/bin:/sbin:/bin MODULE=$module NAME=$1|" >"$dir/guest"
    chmod 755 "$dir/guest"
    boot_guest "$dir/guest" vec0:transport=tap,ifname=tap0,gro=1
}
hear_guest() {
    wait_for "$1" "the guest says '$2'; its last words: $(tail -n 3 "$dir/guest.log" | tr -d '\r' | tr '\n' '|')" said_or_ended "$2"
    said "$2" || fail "the guest did not say '$2': $(grep -a guest: "$dir/guest.log" | tail -n 3 | tr -d '\r' | tr '\n' '|')"
}

start_disk() {
    start_daemon --nbd "unix:$nbd" --nbd tcp:10.9.9.1:10809 ram name=pl0 size=128M
    truncate -s 128M "$dir/gpt"
    sgdisk --clear --new=1:2048:+100M --new=2:0:0 "$dir/gpt" >/dev/null
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
}

# limit a_mounted_disk_is_pulled_while_it_is_written 90
test_a_mounted_disk_is_pulled_while_it_is_written() {
    enter_network a_mounted_disk_is_pulled_while_it_is_written
    start_disk
    boot pl0
    hear_guest 30 connected
    hear_guest 10 'partitions nbd0p1 nbd0p2'
    hear_guest 20 mounted
    hear_guest 10 'read kept'
    hear_guest 30 loaded
    expect 0 platter yank pl0 --json
    equal "$(json .outcome)" removed outcome
    (($(jq '.openers | length' "$dir/out") > 0)) || fail 'the report names no opener'
    hear_guest 20 'failed: .*Input/output error'
    hear_guest 20 'umount 0'
    hear_guest 20 'disconnect 0'
    hear_guest 20 end
    expect 0 platter add ram name=pl0 size=128M
    stop_daemon
}

main "$@"
