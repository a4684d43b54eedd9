#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The field's own clients work, and read back what they wrote.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_nbdinfo_is_told_the_truth() {
    need nbdinfo
    start_daemon ram name=pl0 size=64M
    expect 0 nbdinfo --json "$(uri pl0)"
    equal "$(json '.exports[0]["export-size"]')" 67108864 size
    equal "$(jq -c '.exports[0] | [.is_read_only, .is_rotational, .can_flush, .can_fua, .can_multi_conn, .can_trim,
        .can_zero, .can_cache, .can_fast_zero]' "$dir/out")" '[false,false,true,true,true,true,true,true,true]' flags
    equal "$(json '.exports[0].contexts[0]')" base:allocation context
    equal "$(json '.exports[0]["block_size_minimum"]')" 512 'block size'
    equal "$(json '.structured')" true structured
}

test_names_are_listed_and_the_only_disk_needs_none() {
    need nbdinfo
    start_daemon ram name=pl0 size=64M
    equal "$(nbdinfo --size "$(uri)")" 67108864 'size of the only disk'
    expect 0 nbdinfo --list "$(uri)"
    says pl0
    platter add ram name=pl1 size=32M
    equal "$(nbdinfo --size "$(uri pl1)")" 33554432 'size of the second disk'
    # Of two disks none is meant by an empty name.
    expect 1 nbdinfo --size "$(uri)"
    expect 1 nbdinfo --size "$(uri nosuch)"
}

test_nbdcopy_reads_back_what_it_wrote() {
    need nbdcopy
    start_daemon ram name=pl0 size=64M
    random_file "$dir/a" $((64 << 20))
    expect 0 nbdcopy --connections=4 --requests=64 --flush "$dir/a" "$(uri pl0)"
    expect 0 nbdcopy --connections=4 --requests=64 "$(uri pl0)" "$dir/b"
    same "$dir/a" "$dir/b"
    expect 0 nbdcopy --synchronous "$(uri pl0)" "$dir/c"
    same "$dir/a" "$dir/c"
}

test_qemu_img_converts_and_compares() {
    need qemu-img
    start_daemon ram name=pl0 size=32M
    random_file "$dir/a" $((16 << 20))
    truncate -s 32M "$dir/a"
    expect 0 qemu-img convert -n -f raw -O raw "$dir/a" "$(uri pl0)"
    expect 0 qemu-img compare -f raw -F raw "$dir/a" "$(uri pl0)"
    # What was never written is a hole, and is told as one.
    expect 0 qemu-img map -f raw --output=json "$(uri pl0)"
    equal "$(json 'map(select(.start >= 16777216))[0].data' || true)" false 'data in the second half'
}

test_qemu_io_finds_its_patterns() {
    need qemu-io
    start_daemon ram name=pl0 size=32M
    expect 0 qemu-io -f raw -c 'write -P 0x5a 4k 64k' -c 'read -P 0x5a 4k 64k' -c 'write -z 8k 4k' -c 'read -P 0 8k 4k' \
        -c 'discard 16k 4k' -c 'read -P 0x5a 20k 4k' -c 'write -f -P 0x33 1M 4k' -c flush -c 'read -P 0x33 1M 4k' "$(uri pl0)"
    ! grep -iE 'fail|error' "$dir/out" "$dir/err" || fail 'qemu-io met an error'
}

test_fio_verifies_at_depth() {
    need fio
    start_daemon ram name=pl0 size=128M
    expect 0 fio --name=verify --ioengine=nbd --uri="$(uri pl0)" --rw=randwrite --bs=4k --size=64M --iodepth=64 \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --output-format=json --output="$dir/fio.json"
    equal "$(jq '.jobs[0].error' "$dir/fio.json")" 0 'errors of fio'
}

test_discarded_memory_is_given_back() {
    need nbdcopy nbdinfo qemu-io
    start_daemon ram name=pl0 size=128M
    random_file "$dir/a" $((64 << 20))
    expect 0 nbdcopy "$dir/a" "$(uri pl0)"
    local full
    full=$(memory_kib)
    expect 0 qemu-io -f raw -c 'discard 0 32M' -c 'discard 32M 32M' "$(uri pl0)"
    wait_for 5 'the memory of what was discarded is given back' at_most memory_kib $((full - 50 * 1024))
    expect 0 nbdinfo --map "$(uri pl0)"
    says 'hole,zero'
}

test_a_client_can_start_the_server_itself() {
    need nbdinfo nbdcopy
    unset PLATTER_SOCKET
    expect 0 nbdinfo --size -- [ "$PLATTER" serve ram size=64M ]
    equal "$(cat "$dir/out")" 67108864 size
    expect 0 nbdcopy -- [ "$PLATTER" serve ram size=64M ] null:
}

test_run_serves_for_the_life_of_a_command() {
    need nbdinfo
    unset PLATTER_SOCKET
    # shellcheck disable=SC2016  # expanded by the command that is run
    expect 0 "$PLATTER" serve --run 'nbdinfo --size "$uri"; "$PLATTER" list' ram name=pl0 size=64M
    says 67108864 pl0
    expect 7 "$PLATTER" serve --run 'exit 7' ram size=64M
    # shellcheck disable=SC2016
    expect 0 "$PLATTER" serve --run 'printf "%s" "$PLATTER_SOCKET"' ram size=64M
    [[ -n $(cat "$dir/out") && ! -e $(cat "$dir/out") ]] || fail 'the control socket outlived the command'
}

test_tcp_serves_as_well() {
    need nbdinfo nbdcopy
    local port
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    start_daemon --nbd "tcp:127.0.0.1:$port" ram name=pl0 size=16M
    equal "$(nbdinfo --size "nbd://127.0.0.1:$port/pl0")" 16777216 size
    random_file "$dir/a" $((16 << 20))
    expect 0 nbdcopy --connections=4 "$dir/a" "nbd://127.0.0.1:$port/pl0"
    expect 0 nbdcopy --connections=4 "nbd://127.0.0.1:$port/pl0" "$dir/b"
    same "$dir/a" "$dir/b"
}

test_an_export_can_be_a_view() {
    need nbdinfo
    start_daemon ram name=pl0 size=16M
    expect 0 platter export pl0 nbd name=view ro=on "address=unix:$dir/view.sock"
    local id view
    read -r id view <"$dir/out"
    equal "$view" "$(uri view "$dir/view.sock")" 'URI of the view'
    expect 0 nbdinfo --is read-only "$view"
    expect 2 nbdinfo --is read-only "$(uri pl0)"
    expect 0 platter unexport "$id"
    expect 1 nbdinfo --size "$view"
    expect 0 nbdinfo --size "$(uri pl0)"
}

test_a_disk_can_be_kept_from_clients() {
    need nbdinfo
    start_daemon ram name=pl0 size=16M export=none
    expect 1 nbdinfo --size "$(uri pl0)"
    expect 0 platter add ram name=pl1 size=16M ro=on
    expect 0 nbdinfo --is read-only "$(uri pl1)"
}

test_an_image_is_loaded_and_a_file_is_served() {
    need nbdcopy
    random_file "$dir/a.img" $((8 << 20))
    start_daemon ram name=pl0 size=8M "image=$dir/a.img"
    expect 0 nbdcopy "$(uri pl0)" "$dir/b"
    same "$dir/a.img" "$dir/b"
    cp "$dir/a.img" "$dir/c.img"
    expect 0 platter add file "$dir/c.img" name=pl1
    expect 0 nbdcopy "$(uri pl1)" "$dir/d"
    same "$dir/a.img" "$dir/d"
    # A lock keeps a second writer off.
    expect 75 platter add file "$dir/c.img" name=pl2
    random_file "$dir/e" $((8 << 20))
    expect 0 nbdcopy --flush "$dir/e" "$(uri pl1)"
    same "$dir/e" "$dir/c.img"
}

test_nonsense_is_answered_as_the_protocol_says() {
    "$python" -c 'import nbd' 2>/dev/null || skip 'python3-libnbd is not installed'
    start_daemon ram name=pl0 size=1M
    cat >"$dir/nonsense.py" <<'PY'
import errno, sys, nbd
h = nbd.NBD()
h.set_strict_mode(0)
h.connect_uri(sys.argv[1])
def expect(wanted, what):
    try:
        what()
    except nbd.Error as e:
        assert e.errnum == wanted, f"{e.errno} instead of {errno.errorcode[wanted]}"
    else:
        raise AssertionError(f"no {errno.errorcode[wanted]}")
expect(errno.EINVAL, lambda: h.pread(4096, 1 << 20))
expect(errno.ENOSPC, lambda: h.pwrite(b"x" * 4096, 1 << 20))
expect(errno.EINVAL, lambda: h.trim(4096, 1 << 20))
expect(errno.ENOSPC, lambda: h.zero(4096, 1 << 20))
expect(errno.EINVAL, lambda: h.pread(512, 1))
assert h.pread(512, 0) == bytes(512)
h.shutdown()
PY
    expect 0 "$python" "$dir/nonsense.py" "$(uri pl0)"
}

main "$@"
