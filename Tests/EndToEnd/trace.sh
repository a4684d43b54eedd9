#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Traces, read by the tools that read those of the kernel.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A trace that has begun: from here on nothing is missing.
begin_trace() {
    background platter trace "$@"
    trace=$child
    wait_for 10 'the trace begins' test -s "$trace_file"
}
# Ended as a person ends it; its status is in $status.
end_trace() {
    kill -INT "$trace"
    ended 10 "$trace"
    equal "$status" 0 'the status of a trace that was interrupted'
}
verified_fio() {
    need fio
    fio --name=trace --ioengine=nbd --uri="$(uri "$1")" --rw=randwrite --bs=4k --size=2M --iodepth=16 --verify=crc32c \
        --thread --output-format=json >"$dir/fio.json" 2>"$dir/fio.log" || fail "fio: $(head -n 1 "$dir/fio.log")"
}
# letters LETTER: how many records of that action are in $dir/text.
letters() { awk -v letter="$1" '$6 == letter { count++ } END { print count + 0 }' "$dir/text"; }

test_blkparse_and_btt_read_what_fio_did() {
    need blkparse btt
    start_daemon ram name=pl0 size=64M
    trace_file=$dir/run1.blktrace.0
    begin_trace pl0 -o "$dir/run1" --json
    verified_fio pl0
    end_trace
    # Paths that it makes are relative ones.
    cd "$dir"
    blkparse -q -i run1 -d run1.bin >"$dir/text"
    # 512 writes and as many reads that verify them, and what the connection itself looked at.
    (($(awk '$6 == "C" && $7 == "W"' "$dir/text" | wc -l) == 512)) || fail "writes: $(letters C) answers"
    local letter all
    all=$(letters Q)
    ((all >= 1024)) || fail "$all I/Os"
    for letter in G D C; do equal "$(letters "$letter")" "$all" "records of $letter"; done
    grep -q '\[fio\]$' "$dir/text" || fail 'nobody is called fio'
    equal "$(jq -r .records "$child_log")" "$((4 * all))" 'records counted'
    equal "$(jq -r .lost "$child_log") $(jq -r .bytes "$child_log")" "0 $(stat -c %s run1.blktrace.0)" 'the rest of it'
    btt -i run1.bin >"$dir/btt"
    grep -qE '^D2C +[0-9.]+ +[0-9.]+ +[0-9.]+ +'"$all"'$' "$dir/btt" || fail "btt: $(grep -m 1 D2C "$dir/btt")"
}

test_a_partition_shows_where_its_io_goes() {
    need blkparse sfdisk
    truncate -s 16M "$dir/image"
    printf 'label: gpt\nstart=2048, size=4096\nstart=8192, size=4096\n' | sfdisk --quiet "$dir/image"
    start_daemon file name=pl0 path="$dir/image"
    trace_file=$dir/part.blktrace.0
    begin_trace pl0p2 -o "$dir/part" --act-mask queue
    open_client 1 pl0p2
    tell 1 'write 4096 4096 1'
    equal "$answer" ok 'a write'
    open_client 2 pl0
    tell 2 'write 1048576 4096 2'
    equal "$answer" ok 'a write to another partition'
    close_client 1
    close_client 2
    end_trace
    cd "$dir"
    blkparse -q -i part -f '%a %d %S %n %D\n' >"$dir/text"
    grep -qE '^A +W 8200 8 ' "$dir/text" || fail "no remap: $(head -n 3 "$dir/text")"
    grep -qE '^Q +W 8200 8 ' "$dir/text" || fail "no write: $(head -n 3 "$dir/text")"
    if grep -qE ' 2048 | [DC] ' "$dir/text"; then fail "too much: $(cat "$dir/text")"; fi
}

test_a_pulled_disk_ends_its_trace_and_nobody_else_is_disturbed() {
    need blkparse
    start_daemon null name=pl0 size=1G answer=off partscan=off
    trace_file=$dir/end.blktrace.0
    begin_trace pl0 -o "$dir/end"
    expect 75 platter trace pl0 -o "$dir/second"
    says 'is being traced already' 'trace/enable=0'
    [[ ! -e $dir/second.blktrace.0 ]] || fail 'a file of a trace that never was'
    need fio
    background fio --name=load --ioengine=nbd --uri="$(uri pl0)" --rw=read --bs=4k --size=64M --iodepth=16 --thread \
        --output="$dir/fio.log"
    wait_for 10 '16 I/Os are in flight' is_full
    expect 4 platter yank pl0 --timeout 100ms
    ended 10 "$trace"
    equal "$status" 0 'the status of a trace whose disk is gone'
    cd "$dir"
    blkparse -q -i end >"$dir/text"
    equal "$(letters D) $(letters C)" '16 16' 'I/Os that the driver got, and answers of the deadline'
    equal "$(grep -cF '[65517]' "$dir/text")" 16 'answers that the disk is gone'
}
is_full() { platter show pl0 --json | jq -e '[.holders[].in_flight] | add == 16'; }

test_a_live_trace_goes_through_a_pipe() {
    need blkparse
    start_daemon ram name=pl0 size=64M
    mkfifo "$dir/pipe"
    (tee "$dir/bytes" <"$dir/pipe" | blkparse -q -i - >"$dir/text") &
    local reader=$!
    children+=("$reader")
    without_clients platter trace pl0 --output - >"$dir/pipe" 2>"$dir/summary" </dev/null &
    trace=$!
    children+=("$trace")
    wait_for 10 'the trace begins' test -s "$dir/bytes"
    verified_fio pl0
    end_trace
    ended 10 "$reader"
    (($(letters C) >= 1024)) || fail "$(letters C) answers came through"
    grep -q '^platter: pl0: .* records, .* in all$' "$dir/summary" || fail "the summary: $(cat "$dir/summary")"
}

test_what_cannot_be_traced_is_said() {
    start_daemon ram name=pl0 size=1M
    cd "$dir"
    expect 32 platter trace nope
    expect 64 platter trace pl0 -a wrong
    says "there is no action 'wrong'" requeue
    expect 64 platter trace pl0 --start 5 --end 4
    says 'no sector from 5 to 4'
    expect 64 platter trace pl0 --stopwatch soon
    expect 1 platter trace pl0 -o "$dir/none/t"
    says 'No such file or directory'
    mkfifo "$dir/pipe.blktrace.0"
    expect 1 platter trace pl0 -o "$dir/pipe"
    says 'Invalid argument'
    if compgen -G "$dir/*.blktrace.0" | grep -v pipe; then fail 'a file of nothing'; fi
    # It was given up each time.
    expect 0 platter trace pl0 -w 10ms
    says 'pl0: 0 records'
}

main "$@"
