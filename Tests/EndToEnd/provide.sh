#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Disks that are made by being opened, and go when nobody needs them.
# shellcheck source=Tests/EndToEnd/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_a_client_makes_a_disk_and_its_end_is_the_disks() {
    start_daemon
    expect 0 platter provide 'ram*' ram size=8M
    expect 0 platter provide --json
    equal "$(json '.providers[0] | [.pattern, .driver, .parameters.size, .made] | join(" ")')" 'ram* ram 8M 0'
    is_absent ram7 || fail 'it is there before anybody asked'
    open_client 0 ram7
    equal "$(field ram7 size)" $((8 << 20)) size
    expect 0 platter show ram7 --json
    equal "$(json .attributes.provider)" 'ram*'
    equal "$(json .settings.autoclear)" on
    # Who comes meanwhile has the same disk.
    tell 0 'write 4096 4096 7'
    open_client 1 ram7
    tell 1 'read 4096 4096'
    close_client 0
    exists ram7 || fail 'somebody has it open still'
    close_client 1
    wait_for 10 'it goes with its last opener' is_absent ram7
    background platter events --from 1 --json --action add --action remove ram7
    wait_for 10 'both are told of' told_of 'add remove'
    # A name that is none of theirs, and a partition of one that could be made.
    expect 0 platter provide
    says 'ram*' 'PATTERN'
    refused other1
    refused ram3p1
    local name
    for name in ram3 ram3p1; do is_absent "$name" || fail "$name was made for whoever asked for a partition"; done
    expect 0 platter unprovide 'ram*'
    expect 1 platter unprovide 'ram*'
    refused ram8
    stop_daemon
}
told_of() { [[ $(jq -r .action "$child_log" | xargs) == "$1" ]]; }
refused() {
    local said
    said=$("$python" "$here/nbd_client.py" hold "$nbd" "$1" </dev/null 2>/dev/null) || true
    [[ $said != open* ]] || fail "$1 was opened"
}

test_clients_that_come_and_go_all_get_a_disk() {
    need nbdinfo
    start_daemon
    expect 0 platter provide 'ram*' ram size=8M
    local client
    # Each meets the disk of another, on its way out perhaps, or has one made: none is told that there is none.
    for client in 1 2 3; do
        # shellcheck disable=SC2016
        background bash -c 'for _ in {1..8}; do nbdinfo --size "$0" || exit 1; done' "$(uri ram1)"
    done
    for client in "${children[@]}"; do
        ended 30 "$client"
        ((status == 0)) || fail "a client was refused: $(cat "$dir"/child*.log | grep -m 1 handshake)"
    done
    wait_for 10 'the last one is gone' is_absent ram1
    stop_daemon
}

test_providers_of_the_configuration_and_images_by_name() {
    mkdir "$dir/images"
    random_file "$dir/images/vm-1.img" $((1 << 20))
    cat >"$dir/platter.toml" <<TOML
[[provide]]
pattern = "vm-*"
driver = "file"
path = "images/{name}.img"
autoclear = false
TOML
    config=$dir/platter.toml
    start_daemon
    open_client 0 vm-1
    close_client 0
    expect 0 platter show vm-1
    says "$dir/images/vm-1.img" 'autoclear'
    # What cannot be made is refused in a line, and counted.
    refused vm-2
    expect 0 platter provide
    says 'FAILED' "vm-2.img"
    stop_daemon
    printf '[[provide]]\npattern = "a*"\ndriver = "rum"\n' >"$dir/platter.toml"
    expect 64 "$PLATTER" serve --config "$dir/platter.toml"
    says 'platter.toml:' rum
}

test_a_stack_makes_what_it_stands_on() {
    start_daemon
    expect 0 platter provide 'low*' ram size=8M
    expect 0 platter add linear lower=low1 name=top
    equal "$(field low1 uppers | tr -d '[] \n"')" top
    expect 0 platter remove top
    wait_for 10 'the lower goes with its holder' is_absent low1
    # One that cannot be made is none that is there.
    expect 32 platter add linear lower=none1 name=top
    stop_daemon
}

test_autoclear_is_a_setting() {
    start_daemon ram name=a size=1M autoclear=on
    exists a || fail 'nobody has had it open yet'
    expect 0 platter set a autoclear=off
    open_client 0 a
    close_client 0
    wait_for 10 'the client is gone' has_openers a 0
    exists a || fail 'it went though it was not to go'
    open_client 0 a
    expect 0 platter set a autoclear=on
    # A try is refused while it is open, and changes nothing.
    expect 75 platter remove a --mode safe
    close_client 0
    wait_for 10 'it goes with its last opener' is_absent a
    stop_daemon
}

main "$@"
