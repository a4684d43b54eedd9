#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon comes, goes, is killed and comes again.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_killed_and_started_again() {
    need nbdcopy
    random_file "$dir/a.img" $((8 << 20))
    start_daemon file "$dir/a.img" name=pl0
    random_file "$dir/b" $((8 << 20))
    expect 0 nbdcopy --flush "$dir/b" "$(uri pl0)"
    kill -KILL "$daemon_pid"
    ended 5 "$daemon_pid"
    [[ -S $nbd ]] || fail 'the test is pointless: the socket went with the daemon'
    start_daemon file "$dir/a.img" name=pl0
    expect 0 nbdcopy "$(uri pl0)" "$dir/c"
    same "$dir/b" "$dir/c"
    # Of each daemon its own: sequence numbers count anew, the instance tells them apart.
    equal "$(field pl0 diskseq)" 1 diskseq
    stop_daemon
    [[ ! -e $nbd && ! -e $PLATTER_SOCKET ]] || fail 'a socket is left behind'
}

test_term_flushes_and_ends() {
    random_file "$dir/a.img" $((8 << 20))
    start_daemon file "$dir/a.img" name=pl0
    open_client 0 pl0
    tell 0 'write 4096 4096 7'
    stop_daemon
    equal "$(od -An -tu1 -j4096 -N1 "$dir/a.img" | tr -d ' ')" 7 'what was written before the end'
    close_client 0
}

test_a_second_term_cuts() {
    need fio
    start_daemon null name=n0 size=1G answer=off partscan=off
    background fio --name=load --ioengine=nbd --uri="$(uri n0)" --rw=randread --bs=4k --size=64M --iodepth=8
    wait_for 10 'I/O is under way' is_full
    kill -TERM "$daemon_pid"
    wait_for 5 'the first signal is taken' grep -q ending "$daemon_log"
    kill -TERM "$daemon_pid"
    ended 5 "$daemon_pid"
    daemon_pid=
    ended 10 "$child"
}
is_full() { platter show n0 --json | jq -e '[.holders[].in_flight] | add == 8'; }

# Each disk of a stack on a driver that answers nothing flushes in vain: they share one clock, not one each.
test_term_has_one_clock_for_a_whole_stack() {
    start_daemon null name=n0 size=1G answer=off partscan=off --stop-timeout 5s
    local level
    for level in 1 2 3; do expect 0 platter add linear "name=n$level" "lower=n$((level - 1))" partscan=off; done
    open_client 0 n3
    # Its answer is not waited for.
    printf 'write 0 4096 7\n' >&20
    wait_for 10 'the write is at the driver' is_at_driver
    kill -TERM "$daemon_pid"
    ended 16 "$daemon_pid"
    daemon_pid=
    ((status == 4)) || fail "status $status where something is owed: $(tail -n 1 "$daemon_log")"
    equal "$(grep -c 'disk removed' "$daemon_log")" 4 'removed disks'
}
is_at_driver() { platter show n0 --json | jq -e '[.holders[].in_flight] | add == 1'; }

test_a_second_daemon_is_refused() {
    start_daemon ram name=pl0 size=16M
    expect 75 "$PLATTER" serve --config "$dir/empty.toml" ram name=pl1 size=16M
    says "$PLATTER_SOCKET"
    expect 0 platter show pl0
    # Beside it one with sockets of its own is welcome.
    PLATTER_SOCKET=$dir/etc/control.sock expect 0 "$PLATTER" serve --config "$dir/empty.toml" --run true
}

test_a_taken_port_is_said() {
    local port
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    start_daemon --nbd "tcp:127.0.0.1:$port" ram name=pl0 size=16M
    mkdir -m 700 "$dir/other"
    PLATTER_SOCKET=$dir/other/control.sock expect 1 "$PLATTER" serve --config "$dir/empty.toml" --nbd "tcp:127.0.0.1:$port"
    says "$port"
}

test_disks_of_the_configuration_come_back() {
    random_file "$dir/a.img" $((8 << 20))
    cat >"$dir/platter.toml" <<TOML
[serve]
nbd = ["unix:$dir/run/other.sock"]

[[disk]]
driver = "ram"
name = "scratch"
size = "16M"

[[disk]]
driver = "file"
name = "data"
path = "$dir/a.img"
ro = true
TOML
    config=$dir/platter.toml
    start_daemon
    equal "$(field scratch size)" 16777216 size
    equal "$(field data ro)" true 'ro'
    equal "$(nbdinfo --size "$(uri data "$dir/run/other.sock")")" 8388608 size
    platter yank scratch
    stop_daemon
    start_daemon
    exists scratch || fail 'a disk of the configuration did not come back'
}

# wrong LINE WORD: the configuration read from standard input is refused with file, line and key.
wrong() {
    cat >"$dir/wrong.toml"
    expect 64 "$PLATTER" serve --config "$dir/wrong.toml"
    says "$dir/wrong.toml:$1:" "$2"
}

test_a_wrong_configuration_is_told_with_file_line_and_key() {
    wrong 3 colour <<<$'[[disk]]\ndriver = "ram"\ncolour = "red"\nsize = "1M"'
    wrong 2 sockett <<<$'[serve]\nsockett = "/nowhere"'
    wrong 1 driver <<<$'[[disk]]\nname = "pl0"'
    wrong 3 size <<<$'[[disk]]\ndriver = "ram"\nsize = "1000"'
    wrong 3 '1M or 1G' <<<$'[[disk]]\ndriver = "ram"\nsize = "1"'
    wrong 7 'line 3 has it, too' <<<$'[[disk]]\ndriver = "ram"\nname = "x"\nsize = "1M"\n[[disk]]\ndriver = "ram"\nname = "x"'
    wrong 2 '' <<<$'[serve]\nnbd = ['
    wrong 2 loud <<<$'[serve]\nlog-level = "loud"'
    wrong 3 foo <<<$'[serve]\nsocket = "/nowhere/x"\nnbd = ["foo"]'
    wrong 2 loopback <<<$'[serve]\nhttp = "0.0.0.0:80"'
    printf '\0\n' >"$dir/zero.toml"
    expect 64 "$PLATTER" serve --config "$dir/zero.toml"
    says 'zero.toml:1:' 'not text'
    printf '[[disk]]\nname = "x"\ndriver = "file"\npath = "nosuch.img"\n' >"$dir/file.toml"
    expect 1 "$PLATTER" serve --config "$dir/file.toml"
    says 'file.toml:4:' 'nosuch.img does not exist'
    expect 1 "$PLATTER" serve --config "$dir/nosuch.toml"
    says nosuch.toml
    [[ ! -e $PLATTER_SOCKET ]] || fail 'a daemon with a wrong configuration was there for a moment'
}

test_a_file_in_the_way_of_a_socket_stays() {
    printf 'precious\n' | tee "$dir/socket" "$dir/other.lock" >"$dir/nbd"
    expect 1 "$PLATTER" serve --config "$config" --socket "$dir/socket" ram size=1M
    says "$dir/socket" 'not a socket'
    expect 1 "$PLATTER" serve --config "$config" --socket "$dir/other" ram size=1M
    says "$dir/other.lock"
    # Here the start fails after the place was taken, and the end must not take what was never made.
    expect 1 "$PLATTER" serve --config "$config" --nbd "unix:$dir/nbd" ram size=1M
    says "$dir/nbd" 'not a socket'
    for file in socket other.lock nbd; do equal "$(cat "$dir/$file")" precious "$file"; done
    expect 1 "$PLATTER" serve --config "$config" --socket "$dir/none/socket" ram size=1M
    says "$dir/none" 'make it'
    [[ ! -e $dir/none ]] || fail 'a directory was made that nobody asked for'
}

test_a_resized_disk_of_the_configuration_comes_back() {
    printf '[[disk]]\ndriver = "file"\nname = "data"\npath = "data.img"\nsize = "16M"\n' >"$dir/etc/platter.toml"
    config=$dir/etc/platter.toml
    start_daemon
    # A path in a file starts at the file.
    [[ -e $dir/etc/data.img ]] || fail 'the image is not beside its configuration'
    expect 0 platter resize data 32M
    stop_daemon
    start_daemon
    equal "$(field data size)" $((32 << 20)) 'the size after the restart'
}

test_a_removal_that_waited_is_told_in_the_log() {
    start_daemon ram name=pl0 size=16M partscan=off
    open_client 0 pl0
    expect 0 platter remove pl0 --mode deferred
    close_client 0
    wait_for 10 'the disk is gone' is_absent pl0
    wait_for 5 'the log says so' grep -q 'disk removed.*mode=deferred' "$daemon_log"
}

test_events_are_told_one_a_line() {
    start_daemon
    background platter events --json
    wait_for 5 'events are followed' is_followed
    platter yank probe || true
    platter add ram name=pl0 size=16M
    platter yank pl0
    wait_for 5 'both events were told' knows_both
    jq -e -s 'map(select(.devname == "pl0")) | [.[0].action, .[-1].action] == ["add", "remove"] and .[0].diskseq == .[-1].diskseq' \
        "$child_log" || fail "told: $(cat "$child_log")"
}
# Something must happen for the stream to show that it is there.
is_followed() {
    platter add ram name=probe size=1M || platter yank probe || true
    [[ -s $child_log ]]
}
knows_both() { jq -e -s 'any(.devname == "pl0" and .action == "remove")' "$child_log"; }

main "$@"
