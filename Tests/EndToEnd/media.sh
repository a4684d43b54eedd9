#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Media come and go under a disk that stays.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# image FILE BYTE: 16 MiB full of one byte, with a GPT of two partitions.
image() {
    need sgdisk
    head -c $((16 << 20)) /dev/zero | tr '\0' "\\$(printf %o "$2")" >"$1"
    sgdisk --zap-all --clear --new=1:2048:+4M --new=2:0:0 "$1" >"$dir/sgdisk.log" 2>&1
}
# The first events, one a line: the action, the device, its DISKSEQ and what else there is.
events() {
    background platter events --from 1 --json
    wait_for 5 "$1 events" has_lines "$1" "$child_log"
    head -n "$1" "$child_log" | jq -r '[.action, .devname, .diskseq, (.properties | keys[])] | join(" ")'
}
has_lines() { (($(wc -l <"$2") >= $1)); }

test_partitions_come_and_go_with_the_medium() {
    image "$dir/a.img" 161
    image "$dir/b.img" 178
    start_daemon removable name=sd0
    equal "$(field sd0 state) $(field sd0 size) $(field sd0 rm) $(field sd0 diskseq)" 'no-medium 0 true 1' 'an empty slot'
    expect 0 platter insert sd0 "$dir/a.img"
    says 'sd0: ' gpt 'sd0p1 sd0p2'
    equal "$(field sd0 state) $(field sd0 size) $(field sd0 diskseq)" "live $((16 << 20)) 2" 'a medium'
    equal "$(field sd0p1 size) $(field sd0p1 diskseq)" "$((4 << 20)) 2" 'its partition'
    expect 0 platter eject sd0
    says 'no medium'
    is_absent sd0p1 || fail 'a partition of nothing'
    equal "$(field sd0 state) $(field sd0 size) $(field sd0 diskseq)" 'no-medium 0 3' 'after the eject'
    expect 0 platter insert sd0 "$dir/b.img" --json
    equal "$(jq -c '[.diskseq, .size, .table, .partitions, .unflushed_bytes]' "$dir/out")" \
        "[4,$((16 << 20)),\"gpt\",[\"sd0p1\",\"sd0p2\"],0]" 'what insert answers'
    expect 0 platter show sd0
    says "$dir/b.img" events_poll_msecs
    expect 0 platter remove sd0
    events 14 >"$dir/told"
    equal "$(<"$dir/told")" 'add sd0 1
change sd0 2 DISK_MEDIA_CHANGE
add sd0p1 2
add sd0p2 2
remove sd0p1 2
remove sd0p2 2
change sd0 3 DISK_MEDIA_CHANGE
change sd0 4 DISK_MEDIA_CHANGE
add sd0p1 4
add sd0p2 4
offline sd0 4
remove sd0p1 4
remove sd0p2 4
remove sd0 4' 'what is told'
}

test_a_client_of_a_pulled_medium_gets_errors_and_never_the_next_one() {
    image "$dir/a.img" 161
    image "$dir/b.img" 178
    start_daemon removable name=sd0 image="$dir/a.img"
    open_client 0 sd0
    open_client 1 sd0p1
    tell 0 'read 8388608 4096'
    equal "$answer" 'ok 161' 'what is read'
    expect 75 platter eject sd0
    says "claimed by nbd" "[${clients[0]}]" --force
    says --force
    equal "$(field sd0 state)" live 'a refused eject'
    expect 0 platter eject sd0 --force
    says 'still open' 'no medium'
    local request client
    for request in 'read 8388608 4096' 'write 8388608 4096 1' flush; do
        tell 0 "$request"
        equal "$answer" EIO "after the pull: $request"
    done
    expect 0 platter insert sd0 "$dir/b.img"
    for client in 0 1; do
        tell "$client" 'read 65536 4096'
        equal "$answer" EIO 'on another medium'
    done
    open_client 2 sd0
    tell 2 'read 8388608 4096'
    equal "$answer" 'ok 178' 'of the new medium'
    close_client 0
    close_client 1
    close_client 2
    wait_for 5 'all have left' has_openers sd0 0
    expect 0 platter remove sd0
    cmp -s <(head -c 8392704 "$dir/b.img" | tail -c 4096) <(head -c 4096 /dev/zero | tr '\0' '\262') ||
        fail 'the next medium was written to'
}

test_an_eject_flushes_and_lets_go_of_the_file() {
    image "$dir/a.img" 161
    start_daemon removable name=sd0 image="$dir/a.img"
    open_client 0 sd0p1
    tell 0 'write 0 4096 7'
    equal "$answer" ok 'a write'
    close_client 0
    wait_for 5 'the writer has left' has_openers sd0p1 0
    expect 0 platter eject sd0
    # Nobody has it any more, and what was written is in it.
    expect 0 platter add file "$dir/a.img" name=f0
    open_client 1 f0
    tell 1 "read $((2048 * 512)) 4096"
    equal "$answer" 'ok 7' 'what was written'
    close_client 1
    expect 75 platter insert sd0 "$dir/a.img"
}

test_the_statuses_mean_what_they_say() {
    image "$dir/a.img" 161
    start_daemon removable name=sd0
    expect 0 platter add ram name=pl0 size=1M
    expect 0 platter add removable name=sd1
    expect 32 platter insert nosuch "$dir/a.img"
    expect 32 platter eject nosuch
    expect 64 platter insert sd0
    expect 64 platter eject
    expect 64 platter eject sd0 --timeout 5d
    expect 64 platter add removable size=1M
    expect 1 platter insert sd0 "$dir/nosuch.img"
    says 'nosuch.img does not exist: name an image'
    expect 1 platter insert pl0 "$dir/a.img"
    says pl0
    expect 1 platter eject sd0
    says 'no medium'
    expect 0 platter insert sd0 "$dir/a.img"
    expect 75 platter insert sd0 "$dir/a.img"
    says 'eject it first'
    expect 75 platter insert sd1 "$dir/a.img"
    # A relative path is the caller's.
    expect 0 platter eject sd0
    expect 0 platter insert sd0 a.img
    expect 0 platter eject sd0
    # An empty slot cannot be opened.
    "$python" "$here/nbd_client.py" hold "$nbd" sd0 </dev/null >"$dir/out" 2>&1 || true
    says refused
    expect 0 platter yank sd0
}

test_an_export_of_a_partition_ends_with_the_medium() {
    image "$dir/a.img" 161
    start_daemon removable name=sd0 image="$dir/a.img"
    expect 0 platter export sd0p1 nbd name=first address="unix:$dir/first.sock"
    expect 0 platter export sd0 nbd name=card
    expect 0 platter eject sd0
    expect 0 platter insert sd0 "$dir/a.img"
    expect 0 platter show sd0 --json
    equal "$(jq -c '[.exports[].name] | unique' "$dir/out")" '["card","sd0","sd0p1","sd0p2"]' 'what is exported'
    [[ ! -e $dir/first.sock ]] || fail 'its address is still there'
}

test_cards() {
    image "$dir/a.img" 161
    image "$dir/b.img" 178
    start_daemon removable name=sd0
    local before
    expect 0 platter insert sd0 "$dir/a.img"
    expect 0 platter eject sd0
    before=$(descriptors)
    for _ in 1 2 3 4 5; do
        expect 0 platter insert sd0 "$dir/a.img"
        open_client 0 sd0p2
        tell 0 'read 0 4096'
        equal "$answer" 'ok 161' 'the first'
        expect 0 platter eject sd0 --force
        tell 0 'read 0 4096'
        equal "$answer" EIO 'the first, pulled'
        close_client 0
        expect 0 platter insert sd0 "$dir/b.img"
        expect 0 platter eject sd0
    done
    equal "$(field sd0 diskseq)" 23 'a number for each change'
    wait_for 5 'no descriptor is left behind' at_most descriptors "$before"
}

main "$@"
