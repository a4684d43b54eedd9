#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# R4: a driver that does not answer holds no removal beyond its deadline, and what it owes is known.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

load() {
    need fio
    background fio --name=load --ioengine=nbd --uri="$(uri n0)" --rw=randrw --bs=4k --size=64M --iodepth=32 --numjobs=2 \
        --thread --time_based --runtime=300 --output="$dir/fio.log"
    wait_for 10 '64 I/Os are in flight' is_full
}
is_full() { platter show n0 --json | jq -e '[.holders[].in_flight] | add == 64'; }
is_clear() { platter quarantine --json | jq -e '.quarantine == []'; }

test_a_deadline_is_kept_and_what_is_owed_is_named() {
    start_daemon null name=n0 size=1G latency=10s partscan=off
    local before took sequence memory
    memory=$(memory_kib)
    load
    sequence=$(field n0 diskseq)
    before=$(now_ms)
    expect 4 platter yank n0 --timeout 1s --json
    took=$(($(now_ms) - before))
    ((took >= 950 && took < 5000)) || fail "the deadline of 1 s was kept after $took ms"
    equal "$(json .deadline_passed)" true 'deadline passed'
    (($(json .quarantined) > 0 && $(json .quarantined) <= 64)) || fail 'quarantined I/O is not told'
    (($(json .quarantined_bytes) > 0)) || fail 'quarantined memory is not told'
    local owed
    owed=$(json .quarantined)
    # The clients have their errors now, not when the driver answers.
    ended 10 "$child"
    ((status != 0)) || fail 'fio met no error'
    expect 0 platter quarantine --json
    equal "$(json '.quarantine[0].disk')" n0 'disk in quarantine'
    equal "$(json '.quarantine[0].diskseq')" "$sequence" 'its sequence number'
    equal "$(json '.quarantine[0].ios')" "$owed" 'I/O it owes'
    # The name is free meanwhile.
    expect 0 platter add null name=n0 size=1G
    expect 0 platter yank n0
    wait_for 20 'the late answers have emptied the quarantine' is_clear
    wait_for 5 'memory is back' at_most memory_kib $((memory + 8192))
}

test_answers_that_never_come_can_be_let_go() {
    start_daemon null name=n0 size=1G answer=off partscan=off
    load
    local sequence
    sequence=$(field n0 diskseq)
    expect 4 platter yank n0 --timeout 200ms
    says "seq:$sequence"
    ended 10 "$child"
    expect 0 platter show "seq:$sequence"
    is_clear && fail 'nothing is owed although nothing was answered'
    expect 0 platter set "seq:$sequence" answer=on
    wait_for 5 'the quarantine is empty' is_clear
    expect 32 platter show "seq:$sequence"
}

test_a_daemon_ends_although_answers_are_owed() {
    start_daemon null name=n0 size=1G answer=off partscan=off
    load
    expect 4 platter yank n0 --timeout 100ms
    kill -TERM "$daemon_pid"
    ended 20 "$daemon_pid"
    daemon_pid=
}

main "$@"
