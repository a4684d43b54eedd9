#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tables of every format, read as libblkid and the tools that wrote them read them. No daemon is needed.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# places FILE [OPTION...]: what platter reads, a line of number, start and size each.
places() {
    expect 0 platter partitions "$@" --json
    jq -r '.partitions[] | "\(.number) \(.start) \(.size)"' "$dir/out"
}

# limit images_of_every_format_are_read_as_libblkid_reads_them 120
test_images_of_every_format_are_read_as_libblkid_reads_them() {
    need partx
    [[ $(partx --version) == *2.38* ]] || skip "libblkid is another version: $(partx --version)"
    "$python" -c 'import json, random' 2>/dev/null || skip "$python lacks its standard library"
    local seed
    # Each of these has found something.
    draw_seeds 1336 4 7 28
    for seed in "${seeds[@]}"; do
        mkdir "$dir/images"
        "$python" "$here/table_images.py" make "$dir/images" "$seed" "${PLATTER_IMAGES:-8}"
        "$python" "$here/table_images.py" blkid "$dir/images" "$PLATTER" >"$dir/differences" || {
            cat "$dir/differences"
            fail "seed $seed: $(tail -n 1 "$dir/differences")"
        }
        cat "$dir/differences"
        rm -r "$dir/images"
    done
}

# What sfdisk writes is what both read.
test_labels_of_sfdisk_are_read_as_it_reads_them() {
    need sfdisk
    local seed round label start count
    draw_seeds 1
    RANDOM=$((seed = seeds[0]))
    for round in 1 2 3 4; do
        for label in sgi sun; do
            rm -f "$dir/disk"
            truncate -s $((128 + RANDOM % 64))M "$dir/disk"
            start=$((16065 * (1 + RANDOM % 2)))
            {
                printf 'label: %s\n' "$label"
                for ((count = 1 + RANDOM % 5; count > 0; count--)); do
                    printf 'start=%s, size=%s\n' "$start" 16065
                    start=$((start + 16065 * (1 + RANDOM % 2)))
                done
            } >"$dir/script"
            sfdisk --quiet --force --no-reread --no-tell-kernel "$dir/disk" <"$dir/script"
            places "$dir/disk" >"$dir/ours"
            equal "$(jq -r .table "$dir/out")" "$label" 'table'
            sfdisk -J "$dir/disk" | jq -r --arg disk "$dir/disk" \
                '.partitiontable.partitions[] | "\(.node | ltrimstr($disk)) \(.start) \(.size)"' >"$dir/theirs"
            [[ -s $dir/theirs ]] || fail "sfdisk wrote nothing in a $label label, round $round"
            diff "$dir/theirs" "$dir/ours" || fail "seed $seed, round $round: $label is read differently"
        done
    done
}

# Of each label that parted writes: numbers, starts and sizes as it prints them.
test_labels_of_parted_are_read_as_it_reads_them() {
    need parted
    local seed label start count name
    draw_seeds 1
    RANDOM=$((seed = seeds[0]))
    for label in amiga atari bsd dvh gpt mac msdos sun; do
        rm -f "$dir/disk"
        truncate -s 128M "$dir/disk"
        if ! parted -s "$dir/disk" mklabel "$label" 2>"$dir/err"; then
            echo "parted does not write $label: $(head -n 1 "$dir/err")"
            continue
        fi
        start=4
        for ((count = 2 + RANDOM % 2; count > 0; count--)); do
            name=()
            case $label in
                gpt | mac | amiga) name=("part$count" ext2) ;;
                atari | dvh | msdos) name=(primary ext2) ;;
                bsd | sun) name=(ext2) ;;
            esac
            # Some labels want cylinders: what it makes of our wish is what counts.
            parted -s "$dir/disk" mkpart ${name[@]+"${name[@]}"} "${start}MiB" "$((start + 20))MiB" 2>"$dir/err" \
                || echo "parted, $label: $(head -n 1 "$dir/err")"
            start=$((start + 20 + RANDOM % 16))
        done
        # What it prints is its free space and metadata as well; a kernel shows those of the map, but not the free space.
        parted -s -m "$dir/disk" unit s print 2>/dev/null \
            | sed -nE 's/^([0-9]+):([0-9]+)s:[0-9]+s:([0-9]+)s:.*/\1 \2 \3/p' >"$dir/theirs"
        [[ -s $dir/theirs ]] || fail "parted wrote nothing in a $label label"
        places "$dir/disk" | sort >"$dir/ours"
        sort "$dir/theirs" | comm -23 - "$dir/ours" >"$dir/missing"
        if [[ -s $dir/missing ]]; then
            cat "$dir/ours"
            fail "seed $seed: of a $label label '$(head -n 1 "$dir/missing")' is read differently"
        fi
    done
}

# What an image does not tell is given, and each format says why it said no.
test_each_format_says_why_it_said_no() {
    truncate -s 1M "$dir/none"
    expect 0 platter partitions "$dir/none" --as kernel --explain
    says acorn-powertec 'no RDSK with a good checksum' 'no Ultrix label at byte 440 of sector 31' 'the disk has no geometry'
    expect 0 platter partitions "$dir/none" --explain --json
    equal "$(jq -c '[.probes[] | select(.format == "amiga") | .outcome, .sectors]' "$dir/out")" '["no",[[0,15]]]' 'what is said'
    equal "$(jq -c '[.probes[] | select(.format == "acorn-cumana")]' "$dir/out")" '[]' 'Cumana without being named'
    expect 0 platter partitions "$dir/none" --explain --json --formats acorn,ibm --geometry 1/2/3
    equal "$(jq -c '[.probes[].format]' "$dir/out")" \
        '["acorn-ics","acorn-powertec","acorn-eesox","acorn-cumana","acorn-adfs","ibm"]' 'formats asked'
    expect 64 platter partitions "$dir/none" --formats xfs
    says "there is no format 'xfs'"
    expect 64 platter partitions "$dir/none" --formats ''
    says 'the list of formats is empty; there are acorn, '
    expect 64 platter partitions "$dir/none" --formats ,
    expect 64 platter partitions "$dir/none" --geometry 1/2
    expect 64 platter partitions "$dir/none" --as bsd
    equal "$(places "$dir/none" --cmdline 'blkdevparts=x:64K,-' | tr '\n' ' ')" '1 0 128 2 128 1920 ' 'cmdline'
}

# A disk of the daemon is read by the same rules.
test_a_disk_is_read_by_the_rules_that_are_asked_for() {
    need sgdisk nbdcopy
    truncate -s 64M "$dir/gpt"
    sgdisk --clear --new=1:2048:+16M --attributes=1:set:2 "$dir/gpt" >/dev/null
    dd if=/dev/zero of="$dir/gpt" bs=512 seek=1 count=1 conv=notrunc status=none
    start_daemon ram name=pl0 size=64M partscan=off
    expect 0 nbdcopy --flush "$dir/gpt" "$(uri pl0)"
    expect 0 platter partitions pl0 --json
    equal "$(jq -c '[.table, .partitions[0].flags, .partitions[0].attributes, .probes]' "$dir/out")" \
        '["gpt",["boot"],"0x4",null]' 'what is read'
    expect 0 platter partitions pl0 --json --as kernel
    equal "$(json '.table | tostring')" null 'as a kernel'
    expect 0 platter partitions pl0 --json --as blkid --explain
    equal "$(jq -c '[.table, .probes[-1].format]' "$dir/out")" '["gpt","gpt"]' 'as libblkid'
    expect 0 platter partitions pl0 --json --cmdline 'pl1:4K;pl0:64K' --formats cmdline
    equal "$(jq -c '[.partitions[] | .size]' "$dir/out")" '[128]' 'of its own definition'
    expect 64 platter partitions pl0 --formats xfs
    expect 64 platter partitions pl0 --formats ''
}

main "$@"
