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
    printf 'label: gpt\nstart=2048, size=20480, attrs="LegacyBIOSBootable GUID:60"\n24576,8192\n' | sfdisk -q "$dir/image"
    start_daemon
    expect 0 platter add file path="$dir/image" name=pl0
    expect 0 platter add null name=big size=3T
    expect 0 platter add ram name=ro size=12M ro=on
    make_sysroot "$dir/root"
    local columns=NAME,MAJ:MIN,RM,HOTPLUG,SIZE,RO,LOG-SEC,PHY-SEC,MIN-IO,OPT-IO,ALIGNMENT,ROTA,DISC-ALN,DISC-GRAN,DISC-MAX,DISC-ZERO,WSAME,ZONED,START
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
    equal "$(platter list -nr -o NAME,PARTFLAGS pl0p2 pl0p1)" $'pl0p1 0x1000000000000004\npl0p2 ' 'flags of partitions'
}

# in_sys TREE FILE: each line of a file as the options of lsblk, where /sys is that of the tree, and /dev has its disks; the
# answer to line N is in theirs.N. With --sysroot no disk can be named.
in_sys() {
    cat >"$dir/in_sys" <<'END'
mount --bind "$1/sys" /sys
mkdir "$3/dev"
mount -t tmpfs none "$3/dev"
for link in "$1"/sys/dev/block/*; do
    number=${link##*/} path=$(readlink -f "$link")
    mknod "$3/dev/${path##*/}" b "${number%:*}" "${number#*:}"
done
mount --bind "$3/dev" /dev
count=0
while read -r options; do
    count=$((count + 1))
    # shellcheck disable=SC2086
    lsblk $options >"$3/theirs.$count"
done <"$2"
END
    LC_ALL=C unshare -m --propagation private bash -e "$dir/in_sys" "$1" "$2" "$dir" 2>"$dir/err" \
        || fail "lsblk: $(cat "$dir/err")"
}

test_list_draws_a_stack_as_lsblk_does() {
    need lsblk sfdisk unshare
    [[ -c /dev/fuse ]] || skip 'there is no /dev/fuse'
    need_root
    truncate -s 64M "$dir/image"
    printf 'label: gpt\n2048,20480\n24576,8192\n' | sfdisk -q "$dir/image"
    mkdir "$dir/tree"
    start_daemon --mount "$dir/tree"
    at_end+=("umount -l '$dir/tree' 2>/dev/null")
    expect 0 platter add file path="$dir/image" name=pl0
    expect 0 platter add null name=big size=3T
    expect 0 platter add linear lower=pl0p1 name=mid
    expect 0 platter add delay lower=mid name=top
    # It stands on two, of which one is not the first.
    expect 0 platter add linear lower=pl0p2 lower=big name=both
    local names='/dev/pl0p1 /dev/both /dev/pl0'
    cat >"$dir/shapes" <<END
-o NAME,PKNAME
-o NAME,PKNAME -s
-o NAME,PKNAME -s -l
-o NAME,PKNAME -s /dev/top
-o NAME,PKNAME -s -J /dev/both
-o NAME,PKNAME -s -r /dev/both
-o NAME,PKNAME -s /dev/pl0p1
-o NAME,PKNAME -s -d
-o NAME,PKNAME -J
-o NAME,PKNAME -J -T /dev/pl0
-o NAME,PKNAME /dev/pl0p1
-o NAME,PKNAME $names
-o NAME,PKNAME -l $names
-o NAME,PKNAME -r $names
-o NAME,PKNAME -P $names
-o NAME,PKNAME -J -l $names
-o NAME,PKNAME -d $names
-o NAME,SIZE -l
-o NAME,SIZE -J -l
-o NAME,SIZE -x SIZE
-o NAME,SIZE -x SIZE -T
-o NAME,SIZE -x SIZE -J
-o NAME,SIZE -x SIZE -s
-o NAME,SIZE -x SIZE -s -T
-o NAME,SIZE -x name -r
-o NAME,SIZE -x name -P -s
-o SIZE -x NAME
-o NAME -x PKNAME $names
-o SIZE,NAME
-o SIZE
-o SIZE -s
-o SIZE -J
-o NAME -I 259
-o NAME -I 8,9
-o NAME -e 259
-o NAME -e 259 /dev/top
-o NAME -A
-o NAME,SIZE -M /dev/pl0 /dev/big
-o NAME -M -s /dev/both /dev/top
-o NAME -M -l
-D
-D -n
-D -o +SIZE
END
    in_sys "$dir/tree" "$dir/shapes"
    local count=0 options
    export LC_ALL=C
    while read -r options; do
        count=$((count + 1))
        # shellcheck disable=SC2086
        platter list $options >"$dir/ours" || fail "list $options"
        diff "$dir/theirs.$count" "$dir/ours" >"$dir/diff" || fail "list $options: $(cat "$dir/diff")"
    done <"$dir/shapes"
    equal "$count" 43 'lists compared'
}

# JSON without columns is all that is known, in the same shapes.
test_list_nests_or_flattens_everything_there_is_to_know() {
    need jq
    start_daemon
    expect 0 platter add ram size=16M name=low
    expect 0 platter add linear lower=low name=mid
    expect 0 platter add delay lower=mid name=top
    local tree='[.blockdevices[] | recurse(.children[]?) | .name] | join(" ")'
    expect 0 platter list -J
    equal "$(json '[.blockdevices[].name] | join(" ")')" 'low mid top' 'each once'
    expect 0 platter list -J low
    equal "$(json '.blockdevices[0].children[0].children[0].name')" top nested
    equal "$(json '.blockdevices[0].children[0].children[0].driver')" delay 'what is known of it'
    expect 0 platter list -J -s top
    equal "$(json "$tree")" 'top mid low' 'upside down'
    expect 0 platter list -J -l mid
    equal "$(json '[.blockdevices[].name] | join(" ")')" 'mid top' 'a list'
    expect 0 platter list -J -d
    equal "$(json "$tree")" low 'without what is on it'
    expect 0 platter list -J -A -I 259
    equal "$(json '[.blockdevices[].name] | join(" ")')" 'low mid top' 'each once'
    expect 0 platter list -J -x SIZE
    equal "$(json '[.blockdevices[] | has("sysfs")] | any | not')" true 'no attributes'
    expect 0 platter list -J -e 259
    equal "$(json '.blockdevices | length')" 0 'none of that number'
    expect 0 platter list -J -p /dev/mid
    equal "$(json "$tree")" '/dev/mid /dev/top' paths
}

test_list_refuses_in_one_line_what_makes_no_sense() {
    need jq
    start_daemon ram name=pl0 size=16M
    local options
    for options in '-J -P' '-J -r' '-P -r' '-l -T' '-P -l' '-I 8 -e 9' '-O -o NAME' '-O -t' '-O -D'; do
        # shellcheck disable=SC2086
        expect 64 platter list $options
        says 'do not go together'
        equal "$(wc -l <"$dir/err")" 1 lines
    done
    for options in '-o ,' '-o +' '-o FSTYPE' '-x FSTYPE'; do
        # shellcheck disable=SC2086
        expect 64 platter list $options
        says column
    done
    for options in '-I eight' '-e ,' '-I 8,'; do
        # shellcheck disable=SC2086
        expect 64 platter list $options
        says 'names no major number'
    done
    expect 64 platter list -o ''
    says 'names no column'
    # What there is is shown all the same.
    expect 32 platter list -n -o NAME nosuch pl0 none
    equal "$(cat "$dir/out")" pl0 'what there is'
    equal "$(grep -c 'no disk is called' "$dir/err")" 2 'what there is not'
    expect 32 platter list nosuch
    expect 32 platter list -J pl0 nosuch
    equal "$(json .disk)" nosuch problem
}

test_attributes_are_read_and_written_as_files_are() {
    need jq
    start_daemon ram name=pl0 size=16M
    equal "$(platter attr pl0 size)" 32768 size
    expect 0 platter attr pl0 queue/max_sectors_kb=64 queue/iostats=0 queue/max_sectors_kb
    says 64
    equal "$(platter attr pl0 queue/iostats)" 0 iostats
    expect 64 platter attr pl0 queue/max_sectors_kb=3
    says 'cannot be 3: it is at least 4 KiB'
    expect 64 platter attr pl0 size=3
    says 'can only be read' "'platter attr pl0' shows which"
    expect 1 platter attr pl0 nothing
    says "'platter attr pl0' lists those there are"
    expect 32 platter attr nosuch size
    expect 0 platter attr pl0
    says queue/write_cache alignment_offset
    expect 0 platter attr pl0 uevent='change 01234567-89ab-cdef-0123-456789abcdef K=v'
    expect 0 platter attr pl0 device/delete=1
    is_absent pl0 || fail 'it is still there'
}

# What a driver could do, and what is done: the two never seem to differ.
test_show_and_attributes_tell_one_story_of_fua() {
    start_daemon ram name=cacheless size=16M
    truncate -s 16M "$dir/image"
    expect 0 platter add file path="$dir/image" name=cached
    equal "$(platter attr cached queue/fua)" 1 'with a cache'
    expect 0 platter show cached
    says 'FUA native,'
    equal "$(platter attr cacheless queue/fua)" 0 'without a cache'
    expect 0 platter show cacheless
    says 'FUA native (not used: no write cache)'
}

main "$@"
