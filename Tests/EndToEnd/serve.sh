#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ways to start a daemon, and who it lets in.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

left_over() { find "$dir/tmp" -mindepth 1 | head -n 1; }

test_a_command_has_its_disk_and_ends_the_daemon() {
    need nbdinfo
    mkdir "$dir/tmp"
    export TMPDIR=$dir/tmp
    # shellcheck disable=SC2016  # the command's own variables
    expect 7 "$PLATTER" serve --config "$config" ram size=64M --run 'nbdinfo --size "$uri" && echo "$nbd" && exit 7'
    says 67108864 "unix:$dir/tmp/"
    [[ ! -e $PLATTER_SOCKET && ! -e $nbd ]] || fail 'a private daemon used the common sockets'
    equal "$(left_over)" '' 'what is left behind'
    # A daemon that is there already is in nobody's way.
    start_daemon ram name=pl0 size=16M
    # shellcheck disable=SC2016
    expect 0 "$PLATTER" serve --config "$config" ram name=pl0 size=1M --run \
        "\"$PLATTER\" list --json | jq -e '.blockdevices[0].size == 1048576'"
}

test_a_signal_goes_to_the_command_first() {
    mkdir "$dir/tmp"
    export TMPDIR=$dir/tmp
    mkfifo "$dir/never"
    background "$PLATTER" serve --config "$config" ram size=1M --run \
        "trap 'echo told; exit 3' TERM; echo up; while :; do read -r -t 1 <>$dir/never; done"
    wait_for 10 'the command runs' grep -q up "$child_log"
    kill -TERM "$child"
    ended 10 "$child"
    equal "$status" 3 "the command's status"
    grep -q told "$child_log" || fail 'the command was not told'
    equal "$(left_over)" '' 'what is left behind'
}

test_a_client_hands_over_its_socket() {
    need nbdinfo nbdcopy
    mkdir "$dir/tmp"
    export TMPDIR=$dir/tmp
    start_daemon ram name=pl0 size=16M
    expect 0 nbdinfo --size -- [ "$PLATTER" serve --config "$config" ram size=64M ]
    says 67108864
    expect 0 nbdcopy -- [ "$PLATTER" serve --config "$config" ram size=8M ] null:
    wait_for 10 'nothing is left behind' is_clean
    exists pl0 || fail 'the common daemon is gone'
}
is_clean() { [[ -z $(left_over) ]]; }

# A service manager: hands over a socket, and hears what is said to it.
manager() {
    cat >"$dir/manager.py" <<'PYTHON'
import os, socket, sys
said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
said.bind(sys.argv[1] + "/notify")
served = socket.socket(socket.AF_UNIX)
served.bind(sys.argv[1] + "/inherited.sock")
served.listen(16)
child = os.fork()
if child == 0:
    os.dup2(served.fileno(), 3, inheritable=True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="nbd",
                      NOTIFY_SOCKET=sys.argv[1] + "/notify")
    os.execv(sys.argv[2], sys.argv[2:])
print(child, flush=True)
while True:
    text = said.recv(4096).decode()
    print(text.replace("\n", " "), flush=True)
    if "STOPPING=1" in text:
        break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PYTHON
    background "$python" "$dir/manager.py" "$dir" "$PLATTER" serve --config "$config" ram name=pl0 size=16M
}

test_a_service_manager_is_told_and_its_socket_is_served() {
    manager
    wait_for 20 'it is ready' grep -q READY=1 "$child_log"
    # Ready means that both are there: the control socket at its common place, and the inherited one.
    exists pl0 || fail 'the control socket is not there'
    [[ ! -e $nbd ]] || fail 'the daemon made an NBD socket beside the inherited one'
    expect 0 nbdinfo --size "$(uri pl0 "$dir/inherited.sock")"
    says 16777216
    platter show pl0 --json | jq -e '.exports | length == 1' || fail 'the export is not told'
    kill -TERM "$(head -n 1 "$child_log")"
    ended 20 "$child"
    equal "$status" 0 'status of the daemon'
    grep -q STOPPING=1 "$child_log" || fail 'its end was not told'
    [[ -e $dir/inherited.sock ]] || fail 'the socket of the manager was removed'
}

# ask PATH [HEADER]: the status of the answer over TCP.
ask() { curl -s -o "$dir/out" -w '%{http_code}' ${2:+-H "$2"} "http://127.0.0.1:$port$1"; }

test_tcp_wants_the_token() {
    need curl
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    start_daemon --http "127.0.0.1:$port" ram name=pl0 size=16M
    equal "$(stat -c %a "$dir/run/token")" 600 'mode of the token'
    equal "$(stat -c %a "$PLATTER_SOCKET")" 600 'mode of the socket'
    local path
    for path in /healthz /metrics /openapi.json /v1/disks /v1/nosuch; do
        equal "$(ask "$path")" 403 "$path without a token"
        equal "$(ask "$path" 'Authorization: Bearer x')" 403 "$path with a wrong one"
    done
    equal "$(ask /v1/disks "Authorization: Bearer $(cat "$dir/run/token")")" 200 'with the token'
    jq -e '.blockdevices[0].name == "pl0"' "$dir/out" || fail 'no disk in the answer'
    stop_daemon
    start_daemon --http "127.0.0.1:$port" --metrics-open
    equal "$(ask /metrics)" 200 'the open page'
    equal "$(ask /healthz)" 403 'the others'
    expect 64 "$PLATTER" serve --config "$config" --http 0.0.0.0:1
    says loopback
}

test_the_metrics_page_is_what_prometheus_takes() {
    need curl
    start_daemon ram name=pl0 size=16M
    expect 0 curl -s --unix-socket "$PLATTER_SOCKET" http://localhost/metrics
    says 'node_disk_reads_completed_total{device="pl0"}' platter_nbd_connections
    need promtool
    promtool check metrics <"$dir/out" || fail 'promtool objects'
}

test_followers_of_events_do_not_hold_the_end_up() {
    start_daemon ram name=pl0 size=16M
    background platter events --from 1 --json
    wait_for 5 'events are followed' test -s "$child_log"
    stop_daemon
    ended 10 "$child"
    equal "$status" 69 'status of the follower'
}

test_an_export_of_its_own() {
    need nbdinfo
    start_daemon ram name=pl0 size=16M
    expect 0 platter export pl0 nbd name=other ro=on "address=unix:$dir/x.sock" --json
    equal "$(json .uri)" "$(uri other "$dir/x.sock")" URI
    local id
    id=$(json .id)
    expect 0 nbdinfo --json "$(uri other "$dir/x.sock")"
    equal "$(json '.exports[0].is_read_only')" true 'read-only'
    # Only what was exported is there.
    expect 1 nbdinfo "$(uri pl0 "$dir/x.sock")"
    expect 75 platter export pl0 nbd name=pl0
    expect 0 platter unexport "$id"
    [[ ! -e $dir/x.sock ]] || fail 'the socket is left behind'
    expect 1 platter unexport "$id"
    # An export ends with its disk: the next owner of the name is another disk.
    expect 0 platter export pl0 nbd name=other
    expect 0 platter yank pl0
    expect 0 platter add ram name=pl0 size=16M
    expect 1 nbdinfo "$(uri other)"
    platter show pl0 --json | jq -e '.exports | length == 1' || fail 'the new disk has the old export'
}

test_an_address_of_its_own_offers_nothing_else() {
    need nbdinfo
    start_daemon ram name=pl0 size=16M
    expect 0 platter export pl0 nbd name=private
    # A relative path is meant where it was typed.
    expect 0 platter export pl0 nbd name=public address=unix:public.sock ro=on
    says "$dir/public.sock"
    expect 0 nbdinfo --list --json "nbd+unix://?socket=$dir/public.sock"
    equal "$(jq -r '[.exports[]."export-name"] | join(" ")' "$dir/out")" public 'what is offered there'
    expect 1 nbdinfo "nbd+unix:///private?socket=$dir/public.sock"
    expect 0 platter show pl0
    says '1  nbd+unix:///private' '2  nbd+unix:///public'
}

test_completions_are_there() {
    local shell
    for shell in bash zsh fish; do
        expect 0 platter --generate-completion-script "$shell"
        says yank quarantine
    done
}

main "$@"
