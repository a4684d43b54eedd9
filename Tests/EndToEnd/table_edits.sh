#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tables that are written here, as the tools of the field find them; and what is in the way of an edit.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# edit VERB FILE [ARGUMENT...]: which must succeed.
edit() { expect 0 platter partition "$@"; }

# accepted FILE gpt|dos: none of the tools has anything to say about it.
accepted() {
    if [[ $2 == gpt ]]; then
        sgdisk --verify "$1" >"$dir/said" 2>&1
        grep -q '^No problems found' "$dir/said" || { cat "$dir/said" && fail "sgdisk complains of $1"; }
        ! grep -qE 'Warning|Caution|Problem' "$dir/said" || { cat "$dir/said" && fail "sgdisk warns of $1"; }
    fi
    sfdisk --verify "$1" >"$dir/said" 2>&1
    grep -q 'No errors detected' "$dir/said" || { cat "$dir/said" && fail "sfdisk complains of $1"; }
    # It complains of names that its locale cannot print.
    LC_ALL=C.UTF-8 parted --script "$1" unit s print >"$dir/said" 2>"$dir/err" \
        || { cat "$dir/err" && fail "parted refuses $1"; }
    [[ ! -s $dir/err ]] || { cat "$dir/err" && fail "parted complains of $1"; }
}

# dumped FILE: what sfdisk says of it, without the names of the file and its nodes.
dumped() { sfdisk --dump "$1" | sed -E '/^device:/d; s/^[^ :]*[^0-9 :]p?([0-9]+) :/\1 :/'; }

# places FILE: number, start and size of what is in it.
places() {
    expect 0 platter partitions "$@" --json
    jq -r '.partitions[] | "\(.number):\(.start)+\(.size)"' "$dir/out" | tr '\n' ' '
}

test_a_gpt_that_is_written_here_is_accepted_by_the_tools() {
    need sgdisk sfdisk parted
    truncate -s 100M "$dir/disk"
    edit create "$dir/disk" --table gpt
    accepted "$dir/disk" gpt
    edit create "$dir/disk" --size 20M --type uefi --name boot
    edit create "$dir/disk" --size 30M --name Größe --bootable
    edit create "$dir/disk" --type swap
    accepted "$dir/disk" gpt
    equal "$(places "$dir/disk")" '1:2048+40960 2:43008+61440 3:104448+98304 ' 'places'
    edit delete "$dir/disk" 2
    edit resize "$dir/disk" 1 max
    edit name "$dir/disk" 3 'swap space'
    accepted "$dir/disk" gpt
    equal "$(places "$dir/disk")" '1:2048+102400 3:104448+98304 ' 'places'
    equal "$(sgdisk --info=3 "$dir/disk" | sed -n "s/^Partition name: //p")" "'swap space'" 'name'
    truncate -s 200M "$dir/disk"
    edit convert "$dir/disk"
    edit resize "$dir/disk" 3 max
    accepted "$dir/disk" gpt
    cp "$dir/disk" "$dir/before"
    edit name "$dir/disk" 1 other --dry-run
    expect 1 platter partition create "$dir/disk" --size 1G
    says 'there is no room for 1 GiB'
    expect 64 platter partition create "$dir/disk" --start 2048s
    expect 64 platter partition create "$dir/disk" --table gpt
    says 'would be lost: --force writes over it'
    expect 64 platter partition delete "$dir/disk" 7
    cmp "$dir/disk" "$dir/before" || fail 'a refused edit has written'
}

test_an_mbr_that_is_written_here_is_accepted_by_the_tools() {
    need sgdisk sfdisk parted
    truncate -s 100M "$dir/disk"
    edit create "$dir/disk" --table dos
    edit create "$dir/disk" --size 10M --bootable
    edit create "$dir/disk" --size 60M --type extended
    edit create "$dir/disk" --start 12M --size 5M
    edit create "$dir/disk" --start 40M --size 5M --type swap
    edit create "$dir/disk" --start 30M --size 5M
    edit create "$dir/disk" --size 20M
    accepted "$dir/disk" dos
    equal "$(dumped "$dir/disk" | sed -n 's/ *//g; /start/p' | tr '\n' ' ')" \
        '1:start=2048,size=20480,type=83,bootable 2:start=22528,size=122880,type=5 3:start=145408,size=40960,type=83 '$(
        )'5:start=24576,size=10240,type=83 6:start=81920,size=10240,type=82 7:start=61440,size=10240,type=83 ' 'the table'
    edit delete "$dir/disk" 5
    edit resize "$dir/disk" 6 max
    accepted "$dir/disk" dos
    edit convert "$dir/disk"
    accepted "$dir/disk" gpt
    equal "$(places "$dir/disk")" '1:2048+20480 3:145408+40960 5:81920+10240 6:61440+20480 ' 'places'
}

# Blocks of 4096 bytes, which the tools do not take for a file's: libblkid does.
test_a_table_in_blocks_of_4096_bytes_is_read_by_libblkid() {
    need partx
    local label
    for label in gpt dos; do
        rm -f "$dir/disk"
        truncate -s 100M "$dir/disk"
        edit create "$dir/disk" --sector-size 4096 --table "$label"
        edit create "$dir/disk" --sector-size 4096 --size 10M
        edit create "$dir/disk" --sector-size 4096 --size 20M
        equal "$(partx --sector-size 4096 --raw --noheadings --output NR,START,SECTORS "$dir/disk" | tr '\n' ' ')" \
            '1 2048 20480 2 22528 40960 ' "$label"
    done
}

# What sfdisk makes of a random script is what we make of it, and of its dump.
# limit scripts_mean_what_they_mean_to_sfdisk 120
# What the tools make on a whole disk is not lost to a table that somebody wants there; with their own words for it.
test_what_a_whole_disk_holds_is_spared() {
    need mkfs.minix mkfs.bfs mkfs.ext2 mkfs.ext4 mkfs.xfs mkfs.btrfs mkswap blkid
    local make
    for make in 'mkfs.minix' 'mkfs.minix -3' mkfs.bfs 'mkfs.ext2 -q' 'mkfs.ext4 -q -b 4096' 'mkfs.xfs -q' 'mkfs.btrfs -q' \
        'mkswap' 'mkswap -p 65536'; do
        rm -f "$dir/disk"
        truncate -s 400M "$dir/disk"
        $make "$dir/disk" >"$dir/said" 2>&1 || fail "$make: $(tail -n 1 "$dir/said")"
        blkid -p "$dir/disk" >/dev/null || fail "blkid does not know what $make makes"
        cp --sparse=always "$dir/disk" "$dir/before"
        for verb in 'create --table gpt' 'create --table dos' 'create --size 10M'; do
            # shellcheck disable=SC2086
            expect 64 platter partition ${verb/ / $dir/disk }
            says '--force writes over it'
        done
        cmp "$dir/disk" "$dir/before" || fail "what $make made was written over"
        expect 0 platter partition create "$dir/disk" --table gpt --force
    done
}

test_scripts_mean_what_they_mean_to_sfdisk() {
    need sfdisk
    local seed label round count types=(L S U R V)
    draw_seeds 1 2 3
    for seed in "${seeds[@]}"; do
        RANDOM=$seed
        for round in 1 2 3; do
            for label in gpt dos; do
                {
                    printf 'label: %s\n' "$label"
                    for ((count = 1 + RANDOM % 3; count > 0; count--)); do
                        case $((RANDOM % 4)) in
                            0) printf ',%sM\n' $((1 + RANDOM % 9)) ;;
                            1) printf 'size=%s, type=%s\n' $((1 + RANDOM % 9999)) "${types[RANDOM % 5]}" ;;
                            2) printf 'size=%sK\n' $((2048 + RANDOM % 9999)) ;;
                            3) printf ',%sMiB,%s\n' $((1 + RANDOM % 9)) "${types[RANDOM % 5]}" ;;
                        esac
                    done
                    if [[ $label == dos ]]; then printf ',40M,E\n,5M\nsize=%s\n' $((1 + RANDOM % 9999)); fi
                    printf ',+\n'
                } >"$dir/script"
                rm -f "$dir/theirs" "$dir/ours" "$dir/again"
                truncate -s 128M "$dir/theirs" "$dir/ours" "$dir/again"
                sfdisk --quiet --no-reread --no-tell-kernel "$dir/theirs" <"$dir/script"
                expect 0 platter partition apply "$dir/ours" "$dir/script"
                dumped "$dir/theirs" | sed -E '/^(label-id|first-lba)/d; s/, uuid=.*//' >"$dir/want"
                dumped "$dir/ours" | sed -E '/^(label-id|first-lba)/d; s/, uuid=.*//' >"$dir/have"
                diff "$dir/want" "$dir/have" || { cat "$dir/script" && fail "seed $seed, round $round: another table"; }
                # Its dump says the same to both, names, identities and usable blocks too.
                sfdisk --dump "$dir/theirs" >"$dir/dump"
                expect 0 platter partition apply "$dir/again" "$dir/dump"
                diff <(dumped "$dir/theirs") <(dumped "$dir/again") || fail "seed $seed, round $round: the dump is another table"
            done
        done
    done
}

# A disk of the daemon: its partitions follow, and what is in use is in the way.
test_a_disk_of_the_daemon_is_edited_and_its_partitions_follow() {
    start_daemon ram name=pl0 size=64M
    expect 0 platter partition create pl0 --size 10M --name one --json
    equal "$(jq -c '[.disk, .dry_run, .added]' "$dir/out")" '["pl0",false,["pl0p1"]]' 'the answer'
    expect 0 platter partition create pl0 --size 20M
    expect 0 platter list --json
    equal "$(jq -c '[.blockdevices[0].children[].name]' "$dir/out")" '["pl0p1","pl0p2"]' 'devices'
    open_client 1 pl0p1
    expect 75 platter partition delete pl0 1 --json
    equal "$(jq -r '[.errno, .openers[0].device] | join(" ")' "$dir/out")" 'EBUSY pl0p1' 'who is in the way'
    expect 75 platter partition delete pl0 1 --dry-run
    says "is open by nbd python3"
    expect 0 platter partition delete pl0 2 --dry-run
    says 'would write 512 bytes at 512: primary GPT header'
    expect 0 platter list --json
    equal "$(jq -c '[.blockdevices[0].children[].name]' "$dir/out")" '["pl0p1","pl0p2"]' 'devices after a dry run'
    expect 0 platter partition delete pl0 2
    expect 0 platter partition resize pl0 1 10M
    printf 'label: dos\n,5M\n' >"$dir/script"
    expect 75 platter partition apply pl0 "$dir/script"
    equal "$(places pl0)" '1:2048+20480 ' 'the table'
}

# The file of a disk has its writer already.
test_a_file_that_a_disk_stands_on_is_not_edited_behind_its_back() {
    truncate -s 64M "$dir/disk.img"
    start_daemon file name=pl0 path="$dir/disk.img"
    expect 75 platter partition create "$dir/disk.img" --size 1M
    says 'is in use by this machine'
    expect 75 platter partition create "$dir/disk.img" --size 1M --dry-run
    says 'is in use by this machine'
    expect 0 platter partition create pl0 --size 1M
    stop_daemon
    expect 0 platter partition create "$dir/disk.img" --size 2M --dry-run
    expect 0 platter partition create "$dir/disk.img" --size 2M
    equal "$(places "$dir/disk.img")" '1:2048+2048 2:4096+4096 ' 'the table'
}

test_a_table_is_printed_with_its_flags_and_all_of_the_extended_partition() {
    need sfdisk
    truncate -s 64M "$dir/dos"
    printf 'label: dos\n,20M,83,*\n,,5\n,10M\n' | sfdisk -q "$dir/dos"
    expect 0 platter partitions "$dir/dos"
    equal "$(awk '$1 == 1 { print $7 }' "$dir/out")" boot flags
    equal "$(awk '$1 == 2 { print $2, $3, $4, $7 }' "$dir/out")" '43008 88064 43M extended' 'the extended one'
    equal "$(sfdisk --dump "$dir/dos" | grep -c 'start= *43008, size= *88064, type=5')" 1 'as sfdisk has it'
    # Its device has the boot record alone.
    expect 0 platter partitions "$dir/dos" --json
    equal "$(jq -c '.partitions[1] | [.size, .extent]' "$dir/out")" '[2,88064]' 'the device and the table'
    truncate -s 64M "$dir/gpt"
    printf 'label: gpt\nsize=1M, attrs="RequiredPartition LegacyBIOSBootable GUID:60,63"\n' | sfdisk -q "$dir/gpt"
    expect 0 platter partitions "$dir/gpt"
    equal "$(awk '$1 == 1 { print $7 }' "$dir/out")" boot,required,GUID:60,GUID:63 'attributes'
    truncate -s 80M "$dir/gpt"
    expect 0 platter partitions "$dir/gpt"
    says 'not at the last one' "'platter partition convert $dir/gpt' moves it to the end"
    expect 0 platter partition convert "$dir/gpt"
    expect 0 platter partitions "$dir/gpt"
    [[ ! -s $dir/err ]] || fail "still: $(cat "$dir/err")"
}

test_a_script_is_refused_with_line_and_field() {
    truncate -s 64M "$dir/disk"
    printf 'label: gpt\n\nsize=1M\nstart=5x\n' >"$dir/script"
    expect 64 platter partition apply "$dir/disk" "$dir/script"
    says "line 4 of the script: start: '5x'"
    printf 'label: gpt\nsize=1M\nsize=1M, type=foo\n' >"$dir/script"
    expect 64 platter partition apply "$dir/disk" "$dir/script"
    says "line 3 of the script: 'foo' is no type"
    printf 'label: gpt\nsize=1M\nx7 : size=1G\n' >"$dir/script"
    expect 1 platter partition apply "$dir/disk" "$dir/script"
    says 'line 3 of the script (partition 7): there is no room'
    # What can never be comes first.
    expect 64 platter partition create "$dir/disk" --size 1G --uuid foo
    says "the uuid 'foo' is no GUID"
}

main "$@"
