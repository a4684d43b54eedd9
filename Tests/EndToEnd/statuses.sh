#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The exit status means what it says, and an error is one line that says what to do.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

one_line() { (($(wc -l <"$dir/err") == 1)) || fail "not one line: $(cat "$dir/err")"; }

test_0_is_done() {
    start_daemon ram name=pl0 size=16M
    expect 0 platter list
    says pl0 ram
    expect 0 platter show pl0
    expect 0 platter --version
    expect 0 platter doctor
}

test_1_is_failed() {
    start_daemon ram name=pl0 size=16M
    expect 1 platter add file "$dir/nosuch.img"
    says nosuch.img
    one_line
    # What it made for a disk that did not come to be is gone again.
    expect 64 platter add file "$dir/new.img" size=1M name=9
    [[ ! -e $dir/new.img ]] || fail "a file without a disk was left behind"
}

test_32_is_no_such_disk() {
    start_daemon ram name=pl0 size=16M
    local verb
    for verb in 'show nosuch' 'remove nosuch' 'yank nosuch' 'rescan nosuch' 'resize nosuch 1M' 'set nosuch ro=on' \
        'export nosuch nbd' 'show seq:99'; do
        # shellcheck disable=SC2086  # the words of the verb
        expect 32 platter $verb
        one_line
    done
}

test_64_is_usage() {
    start_daemon
    local verb
    for verb in nosuch remove 'remove pl0 --mode brutal' 'yank pl0 --timeout 5d' 'add ram' 'add nosuch size=1M' \
        'add ram size=1000' 'add ram size=1M sector-size=513' 'add ram size=1M colour=red' 'add ram name=0 size=1M'; do
        # shellcheck disable=SC2086
        expect 64 platter $verb
        [[ -s $dir/err ]] || fail "nothing said about: $verb"
    done
    platter list --json | jq -e '.blockdevices == []' || fail 'a disk was added'
}

# An unset variable of a script leads there: the path would be another route's, or another disk's.
test_64_is_an_empty_name() {
    start_daemon ram name=trace size=16M
    expect 0 platter add ram name=attributes size=16M
    local verb
    for verb in show yank remove 'remove --cancel' rescan freeze thaw partitions attr trace eject 'partition create' \
        unexport unprovide; do
        # shellcheck disable=SC2086
        expect 64 platter $verb ''
        says 'is a variable of the script not set?'
        one_line
    done
    expect 64 platter resize '' 32M
    says 'an empty name'
    expect 64 platter set '' ro=on
    says 'an empty name'
    expect 64 platter insert '' "$dir/none"
    says 'an empty name'
    equal "$(platter list -n -o NAME | sort | tr '\n' ' ')" 'attributes trace ' 'the disks'
    # Of several, the others are removed.
    expect 64 platter remove '' trace
    equal "$(platter list -n -o NAME)" attributes 'what is left'
    # An empty path is not the current directory.
    mkdir "$dir/empty"
    cd "$dir/empty"
    for verb in mount umount 'serve --mount'; do
        # shellcheck disable=SC2086
        expect 64 platter $verb ''
        says 'an empty path'
        one_line
    done
    cd "$dir"
}

test_69_is_no_daemon() {
    expect 69 platter list
    says "$PLATTER_SOCKET" 'platter serve'
    one_line
}

# A program reads standard output whatever comes: the problem is there, too, and the status is the same.
test_failures_are_objects_under_json() {
    expect 69 platter list --json
    equal "$(json .type)" urn:platter:unreachable type
    one_line
    start_daemon ram name=pl0 size=16M
    expect 32 platter show nosuch --json
    equal "$(json .type) $(json .errno) $(json .disk)" 'urn:platter:not-found ENODEV nosuch' problem
    one_line
    expect 75 platter add ram name=pl0 size=16M --json
    equal "$(json .type)" urn:platter:exists type
    expect 64 platter resize pl0 --json
    equal "$(json .type)" urn:platter:usage type
    expect 64 platter set pl0 colour=red --json
    says "'platter show' lists"
    equal "$(json .type) $(json .disk)" 'urn:platter:usage pl0' problem
    expect 32 platter remove nosuch --json
    equal "$(json .type)" urn:platter:not-found type
    expect 32 platter remove pl0 nosuch --json
    equal "$(json '.removals[0].outcome') $(json '.problems[0].disk')" 'removed nosuch' 'both answers'
}

test_75_is_busy() {
    start_daemon ram name=pl0 size=16M
    open_client 0 pl0
    expect 75 platter remove pl0
    expect 75 "$PLATTER" serve --config "$dir/empty.toml"
    says "$daemon_pid"
    close_client 0
    # A name that is taken may be free again.
    expect 75 platter add ram name=pl0 size=16M
    says pl0 'in use'
    one_line
    expect 75 platter export pl0 nbd
    says "called 'pl0' already"
    expect 0 platter provide 'r*' ram size=1M
    expect 75 platter provide 'r*' ram size=1M
    says 'platter unprovide'
}

test_a_usage_error_names_the_help_of_its_own_verb() {
    expect 64 platter partition create
    says "see 'platter partition create --help'"
    expect 64 platter partition resize x.img 1 --bogus
    says "see 'platter partition resize --help'"
    expect 64 platter ls --bogus
    says "see 'platter ls --help'"
    expect 64 platter --bogus
    says "see 'platter --help'"
    expect 64 platter partition nosuch
    says "no verb 'partition nosuch'; there are create delete resize name convert apply"
    expect 64 platter nosuch
    says "no verb 'nosuch'; there are serve add"
    expect 64 platter help nosuch
    says "no verb 'nosuch'; there are serve add"
    expect 64 platter help partition nosuch
    says "no verb 'partition nosuch'; there are create"
    expect 0 platter help partition create
}

# A number alone is seconds, as for timeout(1), udevadm settle and blktrace.
test_durations_are_read_as_people_write_them() {
    start_daemon ram name=pl0 size=16M
    expect 0 platter settle -t 5
    expect 0 platter settle --timeout 1.5s
    expect 64 platter settle -t 5d
    says 'unknown unit'
    expect 64 platter settle -t .5
    says 'is not a duration'
    expect 0 platter trace pl0 -w 0.1 -o "$dir/t"
    open_client 0 pl0
    expect 75 platter remove pl0 --mode deferred --wait --timeout 0.2
    close_client 0
}

test_output_that_cannot_be_written_is_said() {
    start_daemon ram name=pl0 size=16M
    local status=0
    "$PLATTER" list >/dev/full 2>"$dir/err" || status=$?
    equal "$status" 1 'status of a full standard output'
    equal "$(cat "$dir/err")" 'platter: standard output cannot be written: No space left on device (ENOSPC)' line
}

# What would be silently left out of a request is refused.
test_a_request_that_means_nothing_is_refused() {
    need curl
    start_daemon ram name=pl0 size=16M
    local ask=(curl -s -D "$dir/head" -o "$dir/out" -w '%{http_code}' --unix-socket "$PLATTER_SOCKET")
    equal "$("${ask[@]}" -X POST 'http://localhost/v1/disks/pl0/remove?mode=hard')" 400 'a key of the body in the query'
    says "has no 'mode' in its query: it has nothing there"
    equal "$("${ask[@]}" 'http://localhost/v1/disks?hiden=1')" 400 'a mistyped key'
    says 'there are hidden, sysfs'
    equal "$("${ask[@]}" 'http://localhost/v1/disks?hidden=yes')" 400 'a flag that is neither 0 nor 1'
    equal "$("${ask[@]}" 'http://localhost/v1/disks?hidden=1&sysfs=0')" 200 'flags'
    equal "$("${ask[@]}" 'http://localhost/metrics?whatever=1')" 200 'a scraper with a key of its own'
    equal "$("${ask[@]}" -X PUT 'http://localhost/v1/disks')" 405 'another method'
    equal "$(jq -r '.type + " " + (.status | tostring)' "$dir/out")" 'urn:platter:method-not-allowed 405' problem
    equal "$(sed -n 's/^[Aa]llow: \(.*\)\r$/\1/p' "$dir/head")" 'GET, POST' Allow
    equal "$("${ask[@]}" -X PUT 'http://localhost/v1/disk')" 404 'no such path'
    expect 0 platter list pl0
}

test_77_is_not_permitted() {
    need_root
    need setpriv
    start_daemon ram name=pl0 size=16M
    # The program, and the way to the socket, can be reached by everybody; the socket cannot.
    local everybody
    everybody=$(mktemp -d "${TMPDIR:-/tmp}/pl.XXXXXX")
    at_end+=("rm -rf '$everybody'")
    chmod 755 "$everybody" "$dir/run"
    cp "$PLATTER" "$everybody/platter"
    setpriv --reuid=65534 --regid=65534 --clear-groups -- "$everybody/platter" --version >/dev/null 2>&1 \
        || skip 'another user cannot run the program here'
    expect 77 setpriv --reuid=65534 --regid=65534 --clear-groups -- "$everybody/platter" list
    one_line
}

# The mode of the socket is one bar, and who asks is the other: where everybody may connect, only the owner is answered.
test_77_is_for_another_user_whatever_the_mode_of_the_socket() {
    need_root
    need setpriv curl
    local everybody
    everybody=$(mktemp -d "${TMPDIR:-/tmp}/pl.XXXXXX")
    at_end+=("rm -rf '$everybody'")
    chmod 755 "$everybody"
    export PLATTER_SOCKET=$everybody/control.sock
    start_daemon ram name=pl0 size=16M
    cp "$PLATTER" "$everybody/platter"
    chmod 666 "$PLATTER_SOCKET"
    local other=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
    "${other[@]}" "$everybody/platter" --version >/dev/null 2>&1 || skip 'another user cannot run the program here'
    local ask=(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$PLATTER_SOCKET")
    equal "$("${ask[@]}" http://localhost/v1/disks)" 200 'the status for root'
    equal "$("${other[@]}" "${ask[@]}" http://localhost/v1/disks)" 403 'the status for another user'
    equal "$("${other[@]}" "${ask[@]}" -X POST http://localhost/v1/disks/pl0/remove)" 403 'the status of a removal'
    expect 77 "${other[@]}" "$everybody/platter" list
    says 'the daemon belongs to user 0; user 65534 may not use it'
    one_line
    expect 0 platter show pl0
    stop_daemon
}

main "$@"
