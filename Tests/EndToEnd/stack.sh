#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# R6: disks that stand on disks: what is written through the top lies at the bottom, and they end in any order.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# build [KEY=VALUE...]: linear on delay on linear on two disks in memory; the keys go to all three.
build() {
    expect 0 platter add ram name=a size=64M partscan=off
    expect 0 platter add ram name=b size=64M partscan=off
    expect 0 platter add linear name=low partscan=off lower=a offset=1M size=20M lower=b "$@"
    expect 0 platter add delay name=slow partscan=off lower=low read=200us write=200us "$@"
    expect 0 platter add linear name=top partscan=off lower=slow offset=4k "$@"
}
load() {
    need fio
    background fio --name=load --ioengine=nbd --uri="$(uri top)" --rw=randrw --bs=4k --size=64M --iodepth=32 \
        --time_based --runtime=300 --output="$dir/fio.log"
    wait_for 10 'fio does its work' has_done 500
}
answered() { platter show top --json | jq .ledger.ok; }
has_done() { (($(answered) > $1)); }
is_empty() { [[ -z $(platter list --noheadings) ]]; }
# state of a disk in the listing: is_state NAME WORD
is_state() { [[ $(field "$1" state) == "$2" ]]; }

test_a_stack_is_drawn_and_keeps_what_is_written() {
    need nbdcopy
    start_daemon
    build
    equal "$(field low type)" linear 'type of low'
    equal "$(field slow type)" delay 'type of slow'
    equal "$(field a type)" disk 'type of a'
    expect 0 platter list --json
    equal "$(json '[.blockdevices[].name] | join(" ")')" 'a b low slow top' 'each disk once'
    equal "$(json '.blockdevices[] | select(.name == "low") | .lowers | join(" ")')" 'a b' 'what low stands on'
    equal "$(json '.blockdevices[] | select(.name == "b") | .uppers | join(" ")')" low 'what stands on b'
    # Under both of what it stands on, three deep.
    LC_ALL=C expect 0 platter list --noheadings
    equal "$(grep -c 'top' "$dir/out")" 2 'times that top is drawn'
    grep -Eq '^ {4}[^ ]*top' "$dir/out" || fail "top is not drawn three deep: $(cat "$dir/out")"
    expect 0 platter show slow
    says 'stands on     low' 'held by       top' 'claimed for top'
    random_file "$dir/in" 83M
    expect 0 nbdcopy --flush "$dir/in" "$(uri top)"
    expect 0 nbdcopy "$(uri top)" "$dir/back"
    head -c 83M "$dir/back" >"$dir/out.img"
    same "$dir/in" "$dir/out.img"
    # The first window: 1 MiB into a; the second begins 20 MiB on, at the start of b.
    expect 0 nbdcopy "$(uri a)" "$dir/a.img"
    head -c $((21 * 1048576)) "$dir/a.img" | tail -c +$((1048576 + 4096 + 1)) >"$dir/first"
    head -c $((20 * 1048576 - 4096)) "$dir/in" >"$dir/wanted"
    same "$dir/wanted" "$dir/first"
    expect 0 platter remove --all
    is_empty || fail "left: $(platter list)"
}

test_the_bottom_is_pulled_under_load() {
    start_daemon
    build
    load
    expect 0 platter yank a
    # A part of the top is gone; the rest of it lives.
    is_state top live || fail 'top went with a part of what it stands on'
    expect 0 platter show low
    says 'stands on     b' 'note          a is gone'
    wait_for 10 'fio ends with its errors' is_ended "$child"
    ended 5 "$child"
    ((status != 0)) || fail 'fio met no error'
    expect 0 platter yank b
    wait_for 10 'what stood on them went with them' is_empty
    build
    expect 0 platter remove top slow low b a
    is_empty || fail "left: $(platter list)"
}

test_the_middle_is_pulled_and_what_is_told_to_stay_stays() {
    start_daemon
    build orphaned=stay
    load
    expect 0 platter yank low
    wait_for 10 'fio ends with its errors' is_ended "$child"
    is_state top live || fail 'top did not stay'
    is_state slow live || fail 'slow did not stay'
    # What the middle stood on is free at once, and its name, too.
    expect 0 platter add linear name=low lower=a lower=b
    expect 0 platter remove low a b
    expect 0 platter remove --all
    is_empty || fail "left: $(platter list)"
}

test_a_freeze_parks_and_a_thaw_lets_go() {
    need fio
    start_daemon
    build
    load
    local before
    expect 0 platter freeze low
    says 'low: frozen'
    is_state low frozen || fail 'the list does not say that low is frozen'
    expect 0 platter show low
    says 'state         frozen'
    # What is under way above waits; what was under way in it is done.
    wait_for 5 'everything of fio waits' waits 32
    before=$(platter show a --json | jq .ledger.accepted)
    equal "$(platter show a --json | jq .ledger.accepted)" "$before" 'what came through'
    ! is_ended "$child" || fail 'fio ended, although nothing fails'
    # Once more, and then as often back.
    expect 0 platter freeze low --timeout 1s
    says 'low: frozen: 2 thaws needed'
    expect 0 platter show low
    says 'at the gate, 2 thaws needed'
    expect 0 platter thaw low
    says 'low: still frozen: 1 more thaw needed'
    expect 0 platter thaw low --json
    equal "$(json .state)" live 'state after the thaw'
    wait_for 5 'fio goes on' has_done $(($(answered) + 500))
    expect 1 platter thaw low
    says 'low is not frozen'
    # What does not answer is not frozen, and goes on.
    expect 0 platter set slow read=5s
    expect 0 platter set slow write=5s
    wait_for 5 'the slow one holds all' waits 32
    expect 75 platter freeze slow --timeout 50ms
    says 'slow could not be frozen'
    is_state slow live || fail 'slow stayed frozen'
    # A removal of what is frozen ends what waits.
    expect 0 platter set slow read=0ms
    expect 0 platter set slow write=0ms
    # What is held by then keeps the time that it came with.
    wait_for 15 'fio goes on again' has_done $(($(answered) + 500))
    expect 0 platter freeze low
    wait_for 5 'everything of fio waits' waits 32
    expect 0 platter yank low
    wait_for 5 'fio ends with its errors' is_ended "$child"
    expect 0 platter remove --all --mode surprise
}
# waits N: so many I/Os are inside the top and not answered.
waits() { platter show top --json | jq -e ".ledger.in_flight == $1"; }

test_refusals_say_what_to_do() {
    start_daemon
    build
    expect 75 platter remove a
    says "disk 'a' is held by 'low'; remove that first"
    # A dry run of several says what becomes of them together, as the removal would.
    expect 75 platter remove a --dry-run
    expect 75 platter remove a low --dry-run
    expect 0 platter remove --all --dry-run
    expect 0 platter remove --all --dry-run --json
    equal "$(json '[.removals[].outcome] | unique | join(" ")')" would-remove 'what becomes of all'
    expect 0 platter list --json --paths
    equal "$(json '.blockdevices[] | select(.name == "/dev/low") | .lowers + .uppers | join(" ")')" '/dev/a /dev/b /dev/slow' 'names with paths'
    expect 75 platter add linear lower=b
    says 'b cannot be claimed: there is a claim on b by low'
    expect 32 platter add delay lower=nix
    says 'lower=nix is no disk or partition'
    expect 64 platter add linear lower=top,offset=1T
    says 'does not lie on top'
    expect 64 platter add delay
    says 'lower= is missing'
    expect 64 platter set slow read=5
    says 'read=5 has no unit'
    expect 0 platter set slow read=0ms
    # The policy of a removal that waits: the lower goes when the upper has let it go.
    expect 0 platter remove a --mode deferred
    is_state a removing || fail 'a is not being removed'
    expect 0 platter remove top slow low
    wait_for 5 'a went with what stood on it' is_absent a
}

test_the_end_of_the_daemon_flushes_from_above() {
    need nbdcopy
    head -c 8M /dev/zero >"$dir/bottom.img"
    start_daemon file name=f path="$dir/bottom.img" partscan=off
    expect 0 platter add linear name=one partscan=off lower=f
    expect 0 platter add linear name=two partscan=off lower=one
    random_file "$dir/in" 8M
    expect 0 nbdcopy "$dir/in" "$(uri two)"
    stop_daemon
    grep -q 'disk removed disk=two.*flush=done' "$daemon_log" || fail "two was not flushed: $(cat "$daemon_log")"
    same "$dir/in" "$dir/bottom.img"
}

main "$@"
