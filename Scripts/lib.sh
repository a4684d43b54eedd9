# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts beside this one share. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# A crashed test must not leave a backtracer behind that keeps our pipes open.
export SWIFT_BACKTRACE=enable=no

# What Scripts/run and Scripts/test build with: a target that imports what it does not declare is an error.
# shellcheck disable=SC2034  # used by the scripts that source this file
build_flags=(--explicit-target-dependency-import-check error)
# The release is one and the same for running, testing and installing, so that none of them builds it all over.
# shellcheck disable=SC2034
release_flags=(-c release --static-swift-stdlib --product platter "${build_flags[@]}")

# One line, and out.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

note() { printf '%s\n' "$*"; }

# 75 -> 1m15s
clock() {
    local seconds=$1
    if ((seconds >= 60)); then printf '%dm%02ds' $((seconds / 60)) $((seconds % 60)); else printf '%ds' "$seconds"; fi
}

# The toolchain, also where sudo has taken it off the path.
require_swift() {
    if ! command -v swift >/dev/null && [[ -n ${SUDO_USER:-} ]]; then
        local theirs
        theirs=$(su - "$SUDO_USER" -c 'command -v swift' 2>/dev/null) || theirs=
        [[ -z $theirs ]] || PATH=$PATH:${theirs%/*}
    fi
    command -v swift >/dev/null || die "no swift in PATH: install the Swift 6.3 toolchain (swift.org/install) and add its usr/bin to PATH"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p') || true
    case $version in
        6.[3-9]* | 6.[1-9][0-9]* | [7-9].* | [1-9][0-9].*) ;;
        *) die "swift ${version:-of an unknown version} is too old: Platter is built with Swift 6.3 or later" ;;
    esac
}

# Room for what we are about to write, told in one line instead of a hundred errors.
require_space() {
    local probe
    probe=$(mktemp -d 2>/dev/null) || die "cannot write to ${TMPDIR:-/tmp}: point TMPDIR at a directory that is writable"
    rmdir "$probe"
    mkdir -p "$root/.build" 2>/dev/null || true
    [[ -w $root/.build ]] \
        || die "cannot write to $root/.build: run as the owner of this tree, or clone it to where you can write"
    local free
    free=$(df -Pk "$root/.build" | awk 'NR == 2 { print $4 }')
    ((free > 3 * 1024 * 1024)) || die "only $((free / 1024)) MiB are free beside the sources; a build wants 3 GiB"
}

# run_with_progress LOG TITLE COMMAND...
# Runs a build with its output in LOG. A terminal sees one line that is rewritten; a log gets a line every 15 seconds.
# On failure the errors are shown.
run_with_progress() {
    local log=$1 title=$2 started=$SECONDS shown=$SECONDS step='' status line
    shift 2
    : >"$log" || die "cannot write $log"
    [[ ! -t 1 ]] && note "$title …"
    set +e
    "$@" 2>&1 </dev/null | while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            \[*/*\]*) step=${line%%]*} && step=${step#[} ;;
            Fetching* | Cloning* | Resolving* | Computing* | Creating*) step='resolving packages' ;;
        esac
        if [[ -t 1 ]]; then
            printf '\r\033[K%s  %s  %s' "$title" "${step:-starting}" "$(clock $((SECONDS - started)))"
        elif ((SECONDS - shown >= 15)); then
            shown=$SECONDS
            note "  $title  ${step:-starting}  $(clock $((SECONDS - started)))"
        fi
    done
    status=${PIPESTATUS[0]}
    set -e
    [[ -t 1 ]] && printf '\r\033[K'
    if ((status != 0)); then
        note "$title failed after $(clock $((SECONDS - started))); the whole log is $log"
        grep -E '(error|fatal):' "$log" | sort -u | head -n 20 || tail -n 20 "$log"
        return "$status"
    fi
    note "$title done in $(clock $((SECONDS - started)))"
}
