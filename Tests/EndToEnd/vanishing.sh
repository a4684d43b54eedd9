#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that vanish at random points of the protocol cost nobody else anything.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# limit two_hundred_clients_vanish_while_another_verifies 180
test_two_hundred_clients_vanish_while_another_verifies() {
    need fio
    local seed vanishing rounds=0 before_threads before_descriptors before_memory
    draw_seeds 1
    seed=${seeds[0]}
    start_daemon ram name=pl0 size=256M
    before_descriptors=$(descriptors)
    # Once before, so that what stays for good is there.
    expect 0 "$python" "$here/nbd_client.py" vanish "$nbd" pl0 32 "$seed"
    wait_for 10 'the first are gone' has_openers pl0 0
    before_threads=$(threads) before_memory=$(memory_kib)
    background "$python" "$here/nbd_client.py" vanish "$nbd" pl0 200 "$seed"
    vanishing=$child
    # They write to the upper half only.
    until is_ended "$vanishing" && ((rounds > 0)); do
        rounds=$((rounds + 1))
        fio --name=verify --ioengine=nbd --uri="$(uri pl0)" --rw=randwrite --bs=4k --size=64M --iodepth=32 \
            --verify=crc32c --verify_fatal=1 --do_verify=1 --output="$dir/fio.log" </dev/null \
            || fail "fio met an error in round $rounds, seed $seed: $(grep -m1 -iE 'err' "$dir/fio.log")"
    done
    ended 60 "$vanishing"
    ((status == 0)) || fail "seed $seed: $(tail -n 1 "$child_log")"
    printf 'seed %s, %s rounds of fio\n' "$seed" "$rounds"
    wait_for 10 "nobody holds the disk (seed $seed)" has_openers pl0 0
    wait_for 10 "descriptors are $before_descriptors again (seed $seed)" at_most descriptors "$before_descriptors"
    wait_for 10 "threads are $before_threads again (seed $seed)" at_most threads "$before_threads"
    # The disk itself holds what was written to it: at most all of it.
    wait_for 10 "memory is back (seed $seed)" at_most memory_kib $((before_memory + 256 * 1024 + 16384))
    expect 0 platter yank pl0
    wait_for 10 "memory is back without the disk (seed $seed)" at_most memory_kib $((before_memory + 16384))
}

main "$@"
