#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tables that the field's tools write become partitions.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

gpt_image() {
    need sgdisk
    truncate -s 64M "$1"
    sgdisk --clear --new=1:2048:+16M --typecode=1:8300 --change-name=1:first --new=2:0:0 --typecode=2:ef00 "$1" >"$dir/sgdisk.log"
}

dos_image() {
    need sfdisk
    truncate -s 64M "$1"
    sfdisk --quiet "$1" <<'TABLE'
label: dos
start=2048, size=20480, type=83
start=22528, type=5
start=24576, size=4096, type=83
start=30720, size=4096, type=82
TABLE
}

test_a_gpt_appears_when_the_last_writer_has_left() {
    need nbdcopy nbdinfo
    gpt_image "$dir/gpt"
    start_daemon ram name=pl0 size=64M
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
    wait_for 5 'pl0p2 appears' exists pl0p2
    equal "$(field pl0p1 size)" 16777216 'size of pl0p1'
    equal "$(field pl0p1 start)" 2048 'start of pl0p1'
    equal "$(nbdinfo --size "$(uri pl0p1)")" 16777216 'size that a client sees'
}

test_logical_partitions_appear_after_rescan() {
    need nbdcopy
    dos_image "$dir/dos"
    start_daemon ram name=pl0 size=64M partscan=off
    expect 0 nbdcopy --flush "$dir/dos" "$(uri pl0)"
    wait_for 5 'the client has left' has_openers pl0 0
    is_absent pl0p1 || fail 'scanned although partscan=off'
    expect 0 platter rescan pl0
    equal "$(platter list --json | jq -c '[.blockdevices[0].children[].name]')" '["pl0p1","pl0p2","pl0p5","pl0p6"]' names
    equal "$(field pl0p5 size)" $((4096 * 512)) 'size of pl0p5'
}

test_a_partition_holds_what_was_written_to_it() {
    need nbdcopy
    gpt_image "$dir/gpt"
    start_daemon ram name=pl0 size=64M
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
    wait_for 5 'pl0p1 appears' exists pl0p1
    random_file "$dir/a" $((16 << 20))
    expect 0 nbdcopy --flush "$dir/a" "$(uri pl0p1)"
    expect 0 nbdcopy "$(uri pl0)" "$dir/b"
    cmp -n $((16 << 20)) -i 0:$((2048 * 512)) "$dir/a" "$dir/b" || fail 'the partition lies elsewhere'
}

test_a_table_in_use_is_left_and_that_is_said() {
    need nbdcopy
    gpt_image "$dir/gpt"
    dos_image "$dir/dos"
    start_daemon ram name=pl0 size=64M
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
    wait_for 5 'pl0p2 appears' exists pl0p2
    open_client 0 pl0p1
    expect 0 nbdcopy --flush "$dir/dos" "$(uri pl0)"
    wait_for 5 'the writer has left' has_openers pl0 0
    expect 75 platter rescan pl0
    says pl0p1
    exists pl0p2 || fail 'a table in use was taken away'
    close_client 0
    wait_for 5 'the holder has left' has_openers pl0p1 0
    expect 0 platter rescan pl0
    exists pl0p5 || fail 'the new table was not read'
}

test_a_disk_that_shrinks_below_a_partition_says_so() {
    need nbdcopy
    gpt_image "$dir/gpt"
    start_daemon ram name=pl0 size=64M
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
    wait_for 5 'pl0p2 appears' exists pl0p2
    expect 0 platter resize pl0 32M
    says 'partition 2' 'ends beyond the disk'
    equal "$(field pl0p2 start) $(field pl0 size)" "34816 $((32 << 20))" 'what stays'
    expect 0 platter show pl0
    says 'partition 2' 'ends beyond the disk'
    open_client 0 pl0p2
    tell 0 'read 0 4096'
    equal "$answer" 'ok 0' 'before the end'
    tell 0 "read $((20 << 20)) 4096"
    [[ $answer != ok* ]] || fail 'read beyond the end'
    close_client 0
    expect 0 platter resize pl0 64M
    expect 0 platter show pl0
    ! grep -q beyond "$dir/out" || fail 'it still says so'
}

test_fdisk_writes_through_a_mount() {
    need nbdfuse sfdisk fusermount3
    [[ -w /dev/fuse ]] || skip '/dev/fuse cannot be used here'
    start_daemon ram name=pl0 size=64M
    mkdir "$dir/mount"
    at_end+=("fusermount3 -q -u -z '$dir/mount'")
    background nbdfuse "$dir/mount/disk" "$(uri pl0)"
    wait_for 5 'nbdfuse shows the disk' test -s "$dir/mount/disk"
    printf 'label: gpt\nsize=8MiB\nsize=8MiB\n' | sfdisk --quiet "$dir/mount/disk"
    expect 0 fusermount3 -u "$dir/mount"
    ended 10 "$child"
    wait_for 5 'pl0p2 appears' exists pl0p2
    equal "$(field pl0p2 size)" 8388608 size
}

test_files_are_read_without_a_daemon() {
    gpt_image "$dir/gpt"
    dos_image "$dir/dos"
    truncate -s 1M "$dir/none"
    expect 0 platter partitions "$dir/gpt" --json
    equal "$(jq -c '[.table, .sector_size, (.partitions[0] | .number, .start, .size, .name), .warnings]' "$dir/out")" \
        '["gpt",512,1,2048,32768,"first",[]]' 'what is read'
    expect 0 platter partitions "$dir/dos" --json
    equal "$(jq -c '[.table, [.partitions[].number], .partitions[0].type]' "$dir/out")" '["dos",[1,2,5,6],"0x83"]' 'what is read'
    expect 0 platter partitions "$dir/none" --json
    equal "$(jq -c '[.table, .partitions]' "$dir/out")" '[null,[]]' 'what is read'
    expect 1 platter partitions "$dir/nosuch" --json
}

test_a_broken_primary_is_read_from_its_backup() {
    gpt_image "$dir/gpt"
    dd if=/dev/zero of="$dir/gpt" bs=512 seek=1 count=1 conv=notrunc status=none
    expect 0 platter partitions "$dir/gpt" --json
    equal "$(jq -c '[.table, (.partitions | length), (.warnings | length > 0)]' "$dir/out")" '["gpt",2,true]' 'what is read'
    # Linux finds no table there, unless it is started with "gpt".
    expect 0 platter partitions "$dir/gpt" --json --as kernel
    equal "$(jq -c '[.table, .partitions]' "$dir/out")" '[null,[]]' 'what a kernel reads'
}

main "$@"
