#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The six modes of removal, as a client and an operator see them.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

state_is() { [[ $(field "$1" state) == "$2" ]]; }

held_disk() {
    start_daemon ram name=pl0 size=16M
    open_client 0 pl0
    tell 0 'write 0 4096 7'
    equal "$answer" ok 'answer to a write'
}

# R9: who holds it is said.
test_safe_refuses_while_somebody_has_it_open() {
    held_disk
    expect 75 platter remove pl0
    says "[${clients[0]}]" 'since'
    grep -q "in use by nbd .*\[${clients[0]}\]; close that, or remove it with --mode" "$dir/err" \
        || fail "the line does not name it: $(cat "$dir/err")"
    tell 0 'read 0 4096'
    equal "$answer" 'ok 7' 'answer to a read after a refused removal'
    close_client 0
    wait_for 5 'the client has left' has_openers pl0 0
    expect 0 platter remove pl0 --json
    equal "$(json .outcome)" removed outcome
    expect 32 platter show pl0
}

test_deferred_lets_clients_in_until_the_last_has_left() {
    held_disk
    expect 0 platter remove pl0 --mode deferred --json
    equal "$(json .outcome)" pending outcome
    state_is pl0 removing || fail "the state is $(field pl0 state)"
    open_client 1 pl0
    tell 1 'read 0 4096'
    equal "$answer" 'ok 7' 'answer to a new client'
    close_client 0
    tell 1 'read 0 4096'
    equal "$answer" 'ok 7' 'answer to the client that is left'
    close_client 1
    wait_for 5 'pl0 is gone' is_absent pl0
}

test_hide_lets_nobody_in_and_disturbs_nobody() {
    held_disk
    expect 0 platter remove pl0 --mode hide
    expect 1 nbdinfo --size "$(uri pl0)"
    tell 0 'write 4096 4096 8'
    equal "$answer" ok 'answer to the old client'
    # The name stays taken while it is removing.
    expect 75 platter add ram name=pl0 size=16M
    close_client 0
    wait_for 5 'pl0 is gone' is_absent pl0
    expect 0 platter add ram name=pl0 size=16M
}

test_soft_tells_clients_to_leave() {
    held_disk
    expect 0 platter remove pl0 --mode soft
    expect 1 nbdinfo --size "$(uri pl0)"
    tell 0 'read 0 4096'
    equal "$answer" ESHUTDOWN 'answer to a client that is to leave'
    state_is pl0 removing || fail 'gone although a client is still there'
    close_client 0
    wait_for 5 'pl0 is gone' is_absent pl0
}

test_hard_flushes_and_cuts() {
    held_disk
    expect 0 platter remove pl0 --mode hard --json
    equal "$(json .outcome)" removed outcome
    is_absent pl0 || fail 'still there'
    # The connection stays and answers, until the client leaves.
    tell 0 'read 0 4096'
    equal "$answer" EIO 'answer to a client that was cut'
    tell 0 'flush'
    equal "$answer" EIO 'answer to a flush of a client that was cut'
    close_client 0
}

# R5 R8: the old handle stays dead when a new disk has the name.
test_surprise_cuts_and_the_name_is_free() {
    held_disk
    expect 0 platter yank pl0
    expect 0 platter add ram name=pl0 size=16M
    tell 0 'write 0 4096 9'
    equal "$answer" EIO 'answer to a client of the old disk'
    open_client 1 pl0
    tell 1 'read 0 4096'
    equal "$answer" 'ok 0' 'what the new disk holds'
    tell 0 'read 0 4096'
    equal "$answer" EIO 'answer to a client of the old disk, later'
    close_client 0
    close_client 1
}

test_a_pending_removal_can_be_taken_back() {
    held_disk
    expect 0 platter remove pl0 --mode hide
    expect 0 platter remove pl0 --cancel
    state_is pl0 live || fail "the state is $(field pl0 state)"
    open_client 1 pl0
    close_client 1
    close_client 0
    wait_for 5 'the clients have left' has_openers pl0 0
    exists pl0 || fail 'removed although taken back'
}

test_wait_waits_and_says_who_it_waited_for() {
    held_disk
    expect 75 platter remove pl0 --mode deferred --wait --timeout 200ms
    says "[${clients[0]}]"
    exists pl0 || fail 'gone although a client is still there'
    # What was asked for is still pending. Taken back, so that the next one can be seen to be there.
    expect 0 platter remove pl0 --cancel
    background platter remove pl0 --mode deferred --wait --json
    wait_for 10 'the removal waits' state_is pl0 removing
    close_client 0
    ended 10 "$child"
    equal "$status" 0 'status of the removal that waited'
    equal "$(jq -r .outcome "$child_log")" removed 'its outcome'
}

# R10: the stronger takes over, and both get one report.
test_a_stronger_removal_takes_over() {
    held_disk
    background platter remove pl0 --mode deferred --wait --json
    wait_for 5 'the first removal is under way' state_is pl0 removing
    expect 0 platter yank pl0 --json
    equal "$(json .mode)" surprise 'mode of the second'
    ended 10 "$child"
    equal "$status" 0 'status of the first'
    equal "$(jq -r '.mode + " " + .outcome' "$child_log")" 'surprise removed' 'report of the first'
    expect 32 platter remove pl0
}

test_a_dry_run_says_and_does_nothing() {
    held_disk
    expect 75 platter remove pl0 --dry-run
    says busy
    expect 0 platter remove pl0 --mode surprise --dry-run
    says 'would be removed'
    tell 0 'read 0 4096'
    equal "$answer" 'ok 7' 'answer after a dry run'
}

test_all_disks_go_at_once() {
    start_daemon ram name=pl0 size=16M
    platter add null name=n0 size=1G
    platter add ram name=pl1 size=16M
    expect 0 platter remove --all
    platter list --json | jq -e '.blockdevices == []' || fail 'a disk is left'
}

# More at once than a process may have connections, or a socket may have callers: each has its answer.
test_hundreds_go_and_each_is_answered_for() {
    local index
    for index in {1..600}; do
        printf '[[disk]]\nname = "n%d"\ndriver = "null"\nsize = "1M"\npartscan = false\n' "$index"
    done >"$dir/many.toml"
    config=$dir/many.toml
    start_daemon
    expect 0 platter remove --all --mode surprise --dry-run --json
    equal "$(json '.removals | length')" 600 'answers of a dry run'
    expect 0 platter yank n{1..300} --json
    equal "$(json '[.removals[] | select(.outcome == "removed")] | length')" 300 'reports'
    expect 0 platter remove --all --mode surprise --json
    equal "$(json '[.removals[] | select(.outcome == "removed")] | length')" 300 'reports of the rest'
    is_empty_list || fail 'a disk is left'
    stop_daemon
    # Of a daemon that is not there, one line says so.
    expect 69 platter yank a b c
    equal "$(wc -l <"$dir/err")" 1 "lines"
}
is_empty_list() { platter list --json | jq -e '.blockdevices == []'; }

test_a_busy_disk_holds_no_other_up() {
    held_disk
    platter add ram name=pl1 size=16M
    expect 75 platter remove pl0 pl1
    is_absent pl1 || fail 'pl1 is still there'
    exists pl0 || fail 'pl0 is gone'
}

main "$@"
