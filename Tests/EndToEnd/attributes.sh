#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Attributes over the control socket, and a listing that is lsblk's.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A directory as sysfs has it, of what the attributes of each disk say: enough for lsblk --sysroot.
make_sysroot() {
    local root=$1 name path attribute value
    mkdir -p "$root"/{dev,proc,sys/block,sys/dev/block}
    while IFS=$'\t' read -r name path; do
        mkdir -p "$root/sys/block/$path"
        while IFS=$'\t' read -r attribute value; do
            mkdir -p "$(dirname "$root/sys/block/$path/$attribute")"
            base64 -d <<<"$value" >"$root/sys/block/$path/$attribute"
        done < <(platter attr "$name" --json \
            | jq -r '.attributes[] | select(.readable) | [.path, (.value + "\n" | @base64)] | @tsv')
        mkdir -p "$root/sys/block/$path"/{holders,slaves}
        ln -s "../../block/$path" "$root/sys/dev/block/$(cat "$root/sys/block/$path/dev")"
        : >"$root/dev/$name"
    done < <(platter list --json | jq -r '.blockdevices[] | [.name, .name], (.name as $d | .children[]? | [.name, $d + "/" + .name]) | @tsv')
}

# The same text from lsblk and from list, for options and columns that both have.
test_list_prints_what_lsblk_prints_of_the_same_disks() {
    need lsblk
    need jq
    need sfdisk
    truncate -s 64M "$dir/image"
    printf 'label: gpt\n2048,20480\n24576,8192\n' | sfdisk -q "$dir/image"
    start_daemon
    expect 0 platter add file path="$dir/image" name=pl0
    expect 0 platter add null name=big size=3T
    expect 0 platter add ram name=ro size=12M ro=on
    make_sysroot "$dir/root"
    local columns=NAME,MAJ:MIN,RM,SIZE,RO,LOG-SEC,PHY-SEC,MIN-IO,OPT-IO,ALIGNMENT,ROTA,DISC-ALN,DISC-GRAN,DISC-MAX,DISC-ZERO,WSAME,ZONED,START
    local options
    export LC_ALL=C
    for options in '' '-b' '-l' '-r' '-P' '-J' '-J -b' '-n' '-i' '-p -r' '-d' '-l -b -n'; do
        # shellcheck disable=SC2086  # options are words
        lsblk --sysroot "$dir/root" -a $options -o "$columns" >"$dir/theirs" || fail "lsblk $options"
        # shellcheck disable=SC2086
        platter list $options -o "$columns" >"$dir/ours" || fail "list $options"
        # What lsblk does not sort, it takes as the directory has it.
        if [[ $options == *-J* ]]; then
            jq -S '.blockdevices | sort_by(.name)' "$dir/theirs" >"$dir/theirs.sorted"
            jq -S '.blockdevices | sort_by(.name)' "$dir/ours" >"$dir/ours.sorted"
        else
            sort "$dir/theirs" >"$dir/theirs.sorted"
            sort "$dir/ours" >"$dir/ours.sorted"
        fi
        diff "$dir/theirs.sorted" "$dir/ours.sorted" >"$dir/diff" || fail "list $options: $(cat "$dir/diff")"
    done
}

test_attributes_are_read_and_written_as_files_are() {
    need jq
    start_daemon ram name=pl0 size=16M
    equal "$(platter attr pl0 size)" 32768 size
    expect 0 platter attr pl0 queue/max_sectors_kb=64 queue/iostats=0 queue/max_sectors_kb
    says 64
    equal "$(platter attr pl0 queue/iostats)" 0 iostats
    expect 64 platter attr pl0 queue/max_sectors_kb=3
    says 'too low'
    expect 64 platter attr pl0 size=3
    expect 1 platter attr pl0 nothing
    expect 32 platter attr nosuch size
    expect 0 platter attr pl0
    says queue/write_cache alignment_offset
    expect 0 platter attr pl0 uevent='change 01234567-89ab-cdef-0123-456789abcdef K=v'
    expect 0 platter attr pl0 device/delete=1
    is_absent pl0 || fail 'it is still there'
}

main "$@"
