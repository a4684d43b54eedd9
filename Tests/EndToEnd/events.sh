#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Events as people and programs see them.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_events_print_as_udevadm_monitor_prints_them() {
    start_daemon
    background platter events --from 1
    local log=$child_log
    wait_for 5 'the heading' grep -q '^KERNEL - the kernel uevent$' "$log"
    expect 0 platter add ram size=1M name=a partscan=off
    expect 0 platter set a ro=on
    wait_for 5 'both events' has_sequence 2 "$log"
    sed -E 's/\[[0-9]+\.[0-9]{6}\]/[T]/' "$log" >"$dir/seen"
    cat >"$dir/wanted" <<'TEXT'
monitor will print the received events for:
KERNEL - the kernel uevent

KERNEL[T] add      /devices/virtual/block/a (block)
ACTION=add
DEVPATH=/devices/virtual/block/a
SUBSYSTEM=block
MAJOR=259
MINOR=0
DEVNAME=a
DEVTYPE=disk
DISKSEQ=1
SEQNUM=1

KERNEL[T] change   /devices/virtual/block/a (block)
ACTION=change
DEVPATH=/devices/virtual/block/a
SUBSYSTEM=block
DISK_RO=1
MAJOR=259
MINOR=0
DEVNAME=a
DEVTYPE=disk
DISKSEQ=1
SEQNUM=2

TEXT
    diff -u "$dir/wanted" "$dir/seen" >"$dir/diff" || fail "$(grep -m 1 '^[-+][^-+]' "$dir/diff")"
    # The moment is the machine's since boot, as udevadm's.
    local moment up
    moment=$(sed -n 's/^KERNEL\[\([0-9]*\)\..*/\1/p' "$log" | tail -n 1)
    up=$(cut -d. -f1 /proc/uptime)
    ((moment <= up && moment > up - 60)) || fail "the moment $moment is not of the last minute before $up"
    stop_daemon
}
has_sequence() { grep -q "^SEQNUM=$1\$" "$2"; }

test_a_stream_is_filtered_and_goes_on_where_it_ended() {
    need curl
    start_daemon
    local name
    for name in a b; do expect 0 platter add ram size=1M "name=$name" partscan=off; done
    expect 0 platter set a ro=on
    expect 0 platter remove b
    local url=http://localhost/v1/events instance
    instance=$(curl -s --unix-socket "$PLATTER_SOCKET" http://localhost/healthz | jq -r .instance)
    stream 5 "$url?from=1"
    equal "$ids" '1 2 3 4 5'
    stream 5 -H "Last-Event-ID: $instance-3" "$url"
    equal "$ids" '4 5'
    stream 3 "$url?from=1&device=a"
    equal "$ids" '1 3'
    stream 5 "$url?from=1&action=remove,offline"
    equal "$ids" '4 5'
    # Another daemon's place is none of this one: a loss, and everything.
    stream 5 -H "Last-Event-ID: ${instance}0-3" "$url"
    equal "$ids" '0 1 2 3 4 5'
    grep -q '^data: {"action":"lost","count":null}$' "$child_log" || fail 'the loss is not said'
    expect 64 platter events --from 99999
    says 'event 99999 has not happened: the newest is' 'are those to come'
    expect 64 platter events --action ad
    expect 64 platter events -s usb
    background platter events --from 1 --json -s block/disk b
    wait_for 5 'three events of b' has_lines 3 "$child_log"
    # A name that may come yet, or be mistyped: only who looks back is taken to know.
    background platter events a c
    wait_for 5 'a word about c' grep -q "there is no disk 'c' now; its events are printed once it comes" "$child_log"
    expect 0 platter add ram size=1M name=c partscan=off
    wait_for 5 'the event of c' grep -q '^DEVNAME=c$' "$child_log"
    ! grep -q "no disk 'a'" "$child_log" || fail 'a is there'
    stop_daemon
}
# stream LAST CURL-ARGUMENT...: until the event with this number; the numbers are in $ids.
stream() {
    local last=$1
    shift
    background curl -sN --unix-socket "$PLATTER_SOCKET" "$@"
    wait_for 10 "event $last" grep -q "^id: .*-$last\$" "$child_log"
    kill "$child"
    ids=$(sed -n 's/^id: .*-//p' "$child_log" | xargs)
}
has_lines() { (($(wc -l <"$2") == $1)); }

test_a_helper_is_called_for_each_and_settle_waits_for_it() {
    cat >"$dir/helper" <<SH
#!/bin/sh
[ "\$1" = block ] || exit 1
[ "\$ACTION" != change ] || read -r line <"$dir/gate"
echo "\$SEQNUM \$ACTION \$DEVNAME \$MAJOR:\$MINOR \$DEVTYPE \$HOME" >>"$dir/told"
SH
    chmod 755 "$dir/helper"
    mkfifo "$dir/gate"
    start_daemon --hotplug "$dir/helper"
    expect 0 platter add ram size=1M name=a partscan=off
    expect 0 platter settle
    equal "$(cat "$dir/told")" '1 add a 259:0 disk /'
    expect 0 platter set a ro=on
    expect 75 platter settle --timeout 50ms
    says 'up to 2'
    expect 0 platter settle --exit-if-exists a --json
    equal "$(json .exists)" true
    # No disk waits for it.
    expect 0 platter remove a
    background platter settle
    echo >"$dir/gate"
    ended 10 "$child"
    equal "$status" 0
    equal "$(cut -d' ' -f2 "$dir/told" | xargs)" 'add change offline remove'
    expect 0 platter add ram size=1M name=b partscan=off
    # It hears of the end, too.
    stop_daemon
    equal "$(tail -n 1 "$dir/told")" '7 remove b 259:0 disk /'
}

test_a_helper_that_cannot_be_run_is_said_at_once() {
    expect 1 "$PLATTER" serve --config "$config" --hotplug "$dir/none"
    says "$dir/none"
    printf '[serve]\nhotplug = "none"\n' >"$dir/platter.toml"
    expect 1 "$PLATTER" serve --config "$dir/platter.toml"
    says "platter.toml:2:" "$dir/none"
    expect 64 "$PLATTER" serve --config "$config" --hotplug /bin/true --hotplug-timeout 5
    expect 64 "$PLATTER" serve --config "$config" --media-poll 5
}

test_a_helper_that_hangs_is_killed() {
    cat >"$dir/helper" <<SH
#!/bin/sh
echo "\$SEQNUM" >>"$dir/told"
[ "\$SEQNUM" != 1 ] || exec tail -f /dev/null
SH
    chmod 755 "$dir/helper"
    start_daemon --hotplug "$dir/helper" --hotplug-timeout 5s
    expect 0 platter add ram size=1M name=a partscan=off
    expect 0 platter set a ro=on
    expect 0 platter settle
    equal "$(xargs <"$dir/told")" '1 2'
    grep -q 'took longer than' "$daemon_log" || fail 'nothing is said in the log'
    stop_daemon
}

test_exports_bind() {
    start_daemon ram name=a size=1M partscan=off
    expect 0 platter export a nbd name=x
    local id
    id=$(cut -d' ' -f1 "$dir/out")
    expect 0 platter unexport "$id"
    background platter events --from 1 --json --action bind --action unbind
    wait_for 5 'both are told' has_lines 2 "$child_log"
    equal "$(jq -r '[.action, .devname, .properties.PLATTER_EXPORT] | join(" ")' "$child_log" | xargs)" 'bind a nbd unbind a nbd'
    stop_daemon
}

# Proxies end streams on which nothing comes for a minute: a comment comes before that.
test_a_stream_on_which_nothing_happens_shows_signs_of_life() {
    need curl
    start_daemon
    background curl -sN --unix-socket "$PLATTER_SOCKET" http://localhost/v1/events
    wait_for 40 'a sign of life' grep -q '^: alive$' "$child_log"
    kill "$child"
    stop_daemon
}

main "$@"
