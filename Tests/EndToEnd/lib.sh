# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the end-to-end tests share. A test file sources it, defines test_… functions and ends in: main "$@"
#
# Each test is a process of its own, in a directory of its own ($TEST_DIR), with its own daemon and sockets.
# Nothing sleeps to wait for something: wait_for polls a condition.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
dir=${TEST_DIR:?run it through Tests/EndToEnd/run}
: "${PLATTER:?the program to test}"

export PLATTER_SOCKET=$dir/run/control.sock XDG_RUNTIME_DIR=$dir/run XDG_CONFIG_HOME=$dir/etc
nbd=$dir/run/nbd.sock
# Debian's python3 has libnbd; another one in front of it may not.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
mkdir -m 700 "$dir/run" "$dir/etc"
config=$dir/empty.toml
: >"$config"
daemon_pid=
children=()
at_end=()

# The first reason counts: what fails after it fails because of it.
fail() {
    [[ -s $dir/reason ]] || printf '%s\n' "$*" >"$dir/reason"
    exit 1
}
skip() {
    printf '%s\n' "$*" >"$dir/reason"
    exit 77
}
need() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
}
# draw_seeds SEED...: sets seeds to these, so that every run is the same; PLATTER_SEED=N or random gives another one.
draw_seeds() {
    seeds=("$@")
    [[ ${PLATTER_SEED:-} == random ]] && seeds=("$((RANDOM * 32768 + RANDOM))")
    [[ ${PLATTER_SEED:-} =~ ^[0-9]+$ ]] && seeds=("$PLATTER_SEED")
    echo "seeds: ${seeds[*]}"
}
need_root() { ((EUID == 0)) || skip 'needs root'; }

platter() { "$PLATTER" "$@"; }

# The URI of an export; of the empty name without an argument.
uri() { printf 'nbd+unix:///%s?socket=%s' "${1-}" "${2-$nbd}"; }

# Since the machine came up, to a hundredth of a second: the time of day may be set while a test runs.
now_ms() {
    local up
    read -r up _ </proc/uptime
    printf '%s' $((10#${up/./} * 10))
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; a failure says what never came.
wait_for() {
    local limit=$1 what=$2 deadline
    shift 2
    deadline=$(($(now_ms) + limit * 1000))
    until "$@" >/dev/null 2>&1; do
        (($(now_ms) < deadline)) || fail "within $limit s not: $what"
        sleep 0.02
    done
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# ended SECONDS PID: waits for a child of ours; its status is in $status.
ended() {
    wait_for "$1" "process $2 ends" is_ended "$2"
    status=0
    wait "$2" || status=$?
}
is_ended() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
    [[ -z $state || $state == Z ]]
}

# start_daemon [ARGUMENT...]: with the configuration of the machine kept out.
start_daemon() {
    local log=$dir/daemon$((++daemons)).log
    "$PLATTER" serve --config "$config" "$@" >"$log" 2>&1 &
    daemon_pid=$!
    daemon_log=$log
    wait_for 20 'the daemon listens' answers_or_dies
    kill -0 "$daemon_pid" 2>/dev/null || fail "the daemon did not start: $(tail -n 1 "$log")"
}
daemons=0
answers_or_dies() { is_ended "$daemon_pid" || platter list; }

# stop_daemon: politely; it must end by itself with status 0.
stop_daemon() {
    kill -TERM "$daemon_pid"
    ended 20 "$daemon_pid"
    daemon_pid=
    ((status == 0)) || fail "the daemon ended with status $status: $(tail -n 1 "$daemon_log")"
}

# background COMMAND...: its pid is in $child, its output in $child_log.
background() {
    child_log=$dir/child$((${#children[@]} + 1)).log
    without_clients "$@" >"$child_log" 2>&1 </dev/null &
    child=$!
    children+=("$child")
}

# expect STATUS COMMAND...: its output is in $dir/out and $dir/err.
expect() {
    local wanted=$1 got=0
    shift
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    if ((got != wanted)); then
        cat "$dir/out" "$dir/err"
        fail "status $got instead of $wanted from: ${*/#$PLATTER/platter}: $(head -n 1 "$dir/err")"
    fi
}
# The words must stand in what the last expect printed.
says() {
    local word
    for word in "$@"; do
        grep -qF -- "$word" "$dir/out" "$dir/err" || {
            cat "$dir/out" "$dir/err"
            fail "nothing said of: $word"
        }
    done
}
# json FILTER: of what the last expect printed.
json() { jq -re "$1" "$dir/out" || fail "no $1 in: $(head -c 300 "$dir/out")"; }
equal() { [[ $1 == "$2" ]] || fail "${3:-a value}: $1 instead of $2"; }
# same FILE FILE: equal in every byte.
same() { cmp "$1" "$2" >"$dir/cmp" 2>&1 || fail "not what was written: $(cat "$dir/cmp")"; }

# Of a disk or partition in the listing: field NAME KEY.
field() {
    platter list --json | jq -r --arg name "$1" --arg key "$2" \
        '[.blockdevices[] | ., .children[]?] | map(select(.name == $name))[0] // error("none")
        | if has($key) then .[$key] else error("no such key") end'
}
exists() { field "$1" name; }
is_absent() { ! exists "$1"; }
has_openers() { [[ $(field "$1" openers) == "$2" ]]; }

random_file() { head -c "$2" /dev/urandom >"$1"; }

# A client that can be told what to do, line by line: open_client N NAME, tell N 'read 0 4096', answer in $answer.
open_client() {
    local number=$1 name=$2
    mkfifo "$dir/to$number" "$dir/from$number"
    without_clients "$python" "$here/nbd_client.py" hold "$nbd" "$name" \
        <"$dir/to$number" >"$dir/from$number" 2>"$dir/client$number.log" &
    clients[number]=$!
    children+=("$!")
    eval "exec $((number * 2 + 20))>\"\$dir/to$number\" $((number * 2 + 21))<\"\$dir/from$number\""
    hear "$number"
    [[ $answer == open ]] || fail "client $number could not open $name: $answer"
}
clients=()
# What runs in the background must not hold our end of a client's pipe open. Four clients are enough.
without_clients() {
    [[ $1 != platter ]] || set -- "$PLATTER" "${@:2}"
    exec "$@" 20>&- 21<&- 22>&- 23<&- 24>&- 25<&- 26>&- 27<&-
}
hear() { IFS= read -r -t 10 -u $(($1 * 2 + 21)) answer || fail "client $1 hangs"; }
tell() {
    printf '%s\n' "$2" >&$(($1 * 2 + 20))
    hear "$1"
}
close_client() {
    eval "exec $(($1 * 2 + 20))>&- $(($1 * 2 + 21))<&-"
    ended 10 "${clients[$1]}"
    rm -f "$dir/to$1" "$dir/from$1"
}

# What the daemon holds of the machine.
threads() { sed -n 's/^Threads:[[:space:]]*//p' "/proc/$daemon_pid/status"; }
descriptors() { find "/proc/$daemon_pid/fd" -mindepth 1 2>/dev/null | wc -l; }
memory_kib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status"; }
at_most() { (($("$1") <= $2)); }

finish() {
    local status=$? pid line
    trap - ERR
    set +e
    if ((status != 0 && status != 77)) && [[ ! -s $dir/reason && -s $dir/line ]]; then mv "$dir/line" "$dir/reason"; fi
    for line in ${at_end[@]+"${at_end[@]}"}; do eval "$line"; done
    for pid in ${children[@]+"${children[@]}"} $daemon_pid; do kill -KILL "$pid" 2>/dev/null; done
    exit "$status"
}

main() {
    trap finish EXIT
    trap 'printf "line %s: %s\n" "$LINENO" "$BASH_COMMAND" >"$dir/line"' ERR
    set -E
    # What a tool leaves where it runs goes with the test.
    cd "$dir"
    "test_$1"
}
