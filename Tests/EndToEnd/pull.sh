#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk is pulled at full load: a truthful report within a second, errors and no hang for clients, nothing left behind.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# load NAME [JOBS] [DEPTH]: fio in the background, in $child; returns when I/O is under way on every connection.
load() {
    need fio
    local name=$1 jobs=${2:-4} depth=${3:-128}
    background fio --name=load --ioengine=nbd --uri="$(uri "$name")" --rw=randrw --bs=4k --size=64M --iodepth="$depth" \
        --numjobs="$jobs" --thread --time_based --runtime=300 --output-format=json --output="$dir/fio.json"
    wait_for 10 "$jobs connections" has_openers "$name" "$jobs"
    # On a RAM disk nothing stays in flight long enough to be seen, so what was done is counted.
    wait_for 10 'I/O is under way' has_done "$name" 5000
}
has_done() {
    platter show "$1" --json | jq -e --argjson count "$2" \
        '.statistics[0] | .reads.completed + .writes.completed > $count'
}

# R2 R3 R9: the report is there within a second and adds up, and every client was answered.
test_the_report_is_there_within_a_second() {
    start_daemon ram name=pl0 size=256M
    load pl0
    local before took sequence
    sequence=$(field pl0 diskseq)
    before=$(now_ms)
    expect 0 platter yank pl0 --json
    took=$(($(now_ms) - before))
    # The command itself starts beside fio, and may have to wait for a processor.
    ((took < 5000)) || fail "the report took $took ms"
    jq -e '.duration_seconds < 1' "$dir/out" || fail "the removal took $(json .duration_seconds) s"
    equal "$(json .outcome)" removed outcome
    equal "$(json .mode)" surprise mode
    equal "$(json .quarantined)" 0 'quarantined I/O'
    equal "$(jq .driver_faults "$dir/out")" 0 'faults of the driver'
    equal "$(jq '.openers | length' "$dir/out")" 4 'openers in the report'
    equal "$(jq -r '.openers[0].program' "$dir/out")" fio 'program that held it'
    ended 10 "$child"
    ((status != 0)) || fail 'fio met no error'
    # R8: name and number are free at once; the sequence number is a new one.
    expect 0 platter add ram name=pl0 size=256M
    (($(field pl0 diskseq) > sequence)) || fail 'the sequence number was used again'
    expect 0 nbdinfo --size "$(uri pl0)"
}

# R1 R9: what was in flight is told, and answered by the driver itself where it does so in time.
test_what_is_in_flight_is_told_and_answered() {
    need fio
    # Nothing is answered before the pull is seen, so that none of it can slip out before.
    start_daemon null name=n0 size=1G answer=off partscan=off
    local load yank sequence
    sequence=$(field n0 diskseq)
    background fio --name=load --ioengine=nbd --uri="$(uri n0)" --rw=randread --bs=4k --size=64M --iodepth=128 \
        --numjobs=4 --thread --time_based --runtime=300 --output-format=json --output="$dir/fio.json"
    wait_for 10 '512 I/Os are in flight' is_full n0 512
    load=$child
    background platter yank n0 --timeout 20s --json
    yank=$child
    wait_for 10 'the pull has begun' is_pulled n0
    expect 0 platter set "seq:$sequence" answer=on
    ended 20 "$yank"
    equal "$status" 0 'status of the pull'
    cp "$child_log" "$dir/out"
    equal "$(json .in_flight)" 512 'in flight'
    equal "$(json .quarantined)" 0 'quarantined I/O'
    equal "$(jq .stuck_sinks "$dir/out")" 0 'answers not taken'
    equal "$(jq '[.openers[].in_flight] | add' "$dir/out")" "$(jq .in_flight "$dir/out")" 'in flight by opener'
    ended 10 "$load"
    ((status != 0)) || fail 'fio met no error'
}
is_pulled() { [[ $(field "$1" state) == removing ]]; }
is_full() { platter show "$1" --json | jq -e --argjson count "$2" '[.holders[].in_flight] | add == $count'; }

test_nbdcopy_is_told_as_well() {
    need nbdcopy
    # So large and late that the copy cannot be done before the pull.
    start_daemon null name=pl0 size=1T latency=5ms partscan=off
    background nbdcopy --connections=4 --requests=128 --no-extents "$(uri pl0)" null:
    wait_for 10 'nbdcopy has connected' is_opened pl0
    expect 0 platter yank pl0
    ended 10 "$child"
    ((status != 0)) || fail 'nbdcopy met no error'
}
is_opened() { (($(field "$1" openers) > 0)); }

# limit twenty_rounds_leave_nothing_behind 180
test_twenty_rounds_leave_nothing_behind() {
    start_daemon ram name=pl0 size=64M
    local round before_threads before_descriptors before_memory
    before_descriptors=$(descriptors)
    for round in {1..22}; do
        # Two rounds to warm up: pools and buffers that stay are there after them.
        if ((round == 3)); then
            wait_for 5 'the connections are gone' at_most descriptors "$before_descriptors"
            before_threads=$(threads) before_memory=$(memory_kib)
        fi
        ((round == 1)) || expect 0 platter add ram name=pl0 size=64M
        load pl0
        expect 0 platter yank pl0 --json
        equal "$(json .outcome)" removed "outcome of round $round"
        equal "$(json .quarantined)" 0 "quarantined in round $round"
        ended 10 "$child"
        ((status != 0)) || fail "fio met no error in round $round"
    done
    wait_for 10 "threads are $before_threads again" at_most threads "$before_threads"
    wait_for 10 "descriptors are $before_descriptors again" at_most descriptors "$before_descriptors"
    # A disk of 64 MiB was full in every round: what leaks shows.
    wait_for 10 "memory is $before_memory KiB again, give or take 16 MiB" at_most memory_kib $((before_memory + 16384))
    platter list --json | jq -e '.blockdevices == []' || fail 'a disk is left'
}

# R7: another disk does not notice.
test_another_disk_goes_on() {
    start_daemon ram name=pl0 size=64M
    platter add ram name=pl1 size=64M
    background fio --name=other --ioengine=nbd --uri="$(uri pl1)" --rw=randwrite --bs=4k --size=32M --iodepth=32 \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --loops=4 --output-format=json
    local other=$child round
    for round in {1..5}; do
        ((round == 1)) || expect 0 platter add ram name=pl0 size=64M
        load pl0
        expect 0 platter yank pl0
        ended 10 "$child"
    done
    ended 40 "$other"
    equal "$status" 0 'status of fio on the other disk'
}

main "$@"
