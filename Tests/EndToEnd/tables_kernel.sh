#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a real kernel finds on images of every format, and what platter finds by its rules. The kernel runs in user mode, with
# every parser built in; its root is this machine's own, read only.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=Tests/EndToEnd/uml.sh
. "$here/uml.sh"

# What the kernel's first process does: an image after the other goes through the loop driver.
guest_script() {
    cat <<'GUEST'
#!/bin/bash
# Replaced by a line that sets PATH, MODULE and IMAGES.
say() { echo "guest: $*"; }
off() {
    say end
    echo o >/proc/sysrq-trigger
    while :; do :; done
}
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
insmod "$MODULE" 2>/dev/null
[[ -b /dev/loop0 ]] || { say 'no loop driver' && off; }
look() {
    local name=$1 size=$2 loop=$3 part said=''
    losetup -r -P -b "$size" "/dev/$loop" "$IMAGES/$name" 2>/dev/null || { say "no loop device for $name" && off; }
    for part in /sys/block/"$loop"/"$loop"p*; do
        [[ -e $part ]] && said+=" $(<"$part/partition"):$(<"$part/start"):$(<"$part/size")"
    done
    say "image $name$said"
    losetup -d "/dev/$loop"
    # The device is let go in the background.
    while [[ -e /sys/block/$loop/loop ]]; do :; done
}
while read -r name size loop; do look "$name" "$size" "${loop:-loop0}"; done <"$IMAGES/list"
off
GUEST
}

# ask_kernel DIRECTORY [PARAMETER...]: what it says is in $dir/guest.log.
ask_kernel() {
    local images=$1 module
    shift
    module=$(find /usr/lib/uml -name 'loop.ko*' | head -n 1)
    guest_script | sed "2s|.*|export PATH=/usr/sbin:/usr/bin:/sbin:/bin MODULE=${module:-none} IMAGES=$images|" >"$dir/guest"
    chmod 755 "$dir/guest"
    boot_guest "$dir/guest" "$@"
    wait_for 200 'the kernel reads all images' said_or_ended end
    tr -d '\r' <"$dir/guest.log" >"$dir/said"
}

need_kernel() {
    need_root
    need linux.uml losetup insmod gcc
    "$python" -c 'import json, random' 2>/dev/null || skip "$python lacks its standard library"
}

# limit images_of_every_format_are_read_as_the_kernel_reads_them 240
test_images_of_every_format_are_read_as_the_kernel_reads_them() {
    need_kernel
    local seed
    draw_seeds 1336
    seed=${seeds[0]}
    mkdir "$dir/images"
    "$python" "$here/table_images.py" make "$dir/images" "$seed" "${PLATTER_IMAGES:-6}"
    ask_kernel "$dir/images"
    "$python" "$here/table_images.py" kernel "$dir/images" "$dir/said" "$PLATTER" >"$dir/differences" || {
        cat "$dir/differences"
        fail "seed $seed: $(tail -n 1 "$dir/differences")"
    }
    cat "$dir/differences"
}

# The command line names disks; each definition has a loop device of its own.
# limit a_command_line_is_read_as_the_kernel_reads_it 120
test_a_command_line_is_read_as_the_kernel_reads_it() {
    need_kernel
    local definitions=(
        'loop1:64K(a),1M@2M(b),-(c)' 'loop2:1m,0x100000,4k@0' 'loop3:010000@4096,6M,4K' 'loop4:64G(all)'
        'loop5:8K@7M,-@1M(rest)junk,16K@1K' 'loop6:4K@9M,4K'
    )
    local number parameter
    mkdir "$dir/images"
    for number in 1 2 3 4 5 6; do
        truncate -s 8M "$dir/images/cmdline$number"
        printf 'cmdline%s 512 loop%s\n' "$number" "$number" >>"$dir/images/list"
    done
    parameter=$(IFS=';' && printf '%s' "${definitions[*]}")
    ask_kernel "$dir/images" "blkdevparts=$parameter"
    for number in 1 2 3 4 5 6; do
        expect 0 platter partitions "$dir/images/cmdline$number" --json --as kernel --cmdline "${definitions[number - 1]}"
        equal "$(jq -r '"guest: image cmdline'"$number"'" + ([.partitions[] | " \(.number):\(.start):\(.size)"] | add // "")' "$dir/out")" \
            "$(grep -a "guest: image cmdline$number\b" "$dir/said")" "${definitions[number - 1]}"
    done
}

main "$@"
