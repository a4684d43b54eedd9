// SPDX-License-Identifier: Apache-2.0

import BlockCore
import Testing

@Suite("The machine of media events") struct MediaMachineTests {
    @Test("begins no check while it is blocked, loses none that was wanted, and runs one at a time, in every sequence")
    func everyMix() {
        func explore(_ machine: MediaEvents, isWanted: Bool, left: Int) {
            let next = machine
            var copy = next
            let todo = copy.next(0)
            #expect(todo == (isWanted && machine.depth == 0 && !machine.isChecking ? .check : .nothing))
            guard left > 0 else { return }
            var blocked = machine
            #expect(blocked.block() == machine.isChecking)
            explore(blocked, isWanted: isWanted, left: left - 1)
            if machine.depth > 0 {
                for now in [false, true] {
                    var unblocked = machine
                    let todo = unblocked.unblock(checkNow: now, standard: 0)
                    let wanted = isWanted || now
                    #expect((todo == .check) == (machine.depth == 1 && wanted && !machine.isChecking))
                    explore(unblocked, isWanted: wanted, left: left - 1)
                }
            }
            var wanted = machine
            #expect((wanted.want(standard: 0) == .check) == (machine.depth == 0 && !machine.isChecking))
            explore(wanted, isWanted: true, left: left - 1)
            for isSynchronous in [false, true] {
                var begun = machine
                let begins = begun.begin(isSynchronous: isSynchronous) != nil
                let mayBegin = isSynchronous || (machine.depth == 0 && isWanted)
                #expect(begins == (!machine.isChecking && mayBegin))
                explore(begun, isWanted: begins ? false : isWanted, left: left - 1)
            }
            if machine.isChecking {
                var ended = machine
                #expect(ended.end(found: .change, cleared: []) == (machine.pending.isEmpty ? .change : []))
                explore(ended, isWanted: isWanted, left: left - 1)
            }
            // Another interval takes back nothing that was wanted.
            var changed = machine
            #expect(changed.setInterval(0, standard: 0) == todo)
            explore(changed, isWanted: isWanted, left: left - 1)
        }
        explore(MediaEvents(MediaProfile()), isWanted: false, left: 5)
    }

    @Test("an event is news once, until it is fetched; what is cleared is passed on once") func news() {
        var machine = MediaEvents(MediaProfile())
        #expect(machine.unblock(checkNow: true, standard: 0) == .check)
        #expect(machine.begin(isSynchronous: false) == [])
        #expect(machine.end(found: [.change, .ejectRequest], cleared: []) == [.change, .ejectRequest])
        #expect(machine.want(clearing: .change, standard: 0) == .check)
        #expect(machine.begin(isSynchronous: false) == .change)
        // Asked for again while the check runs: this one clears what it was given, the next the rest.
        #expect(machine.want(clearing: .ejectRequest, standard: 0) == .nothing)
        #expect(machine.end(found: .change, cleared: .change) == [] && machine.clearing == .ejectRequest)
        #expect(machine.next(0) == .check)
        #expect(machine.fetch(.change) == .change && machine.pending == .ejectRequest)
        #expect(machine.begin(isSynchronous: true) == .ejectRequest)
        #expect(machine.end(found: [.change, .ejectRequest], cleared: .ejectRequest) == .change)
        #expect(machine.fetch([.change, .ejectRequest]) == [.change, .ejectRequest] && machine.pending == [])
    }

    @Test("asks as often as the disk says, else as the registry says if the device has to be asked, else never")
    func intervals() {
        for polls in [false, true] {
            var profile = MediaProfile()
            profile.polls = polls
            for (interval, standard, period) in [(-1, 0, 0), (-1, 2000, polls ? 2000 : 0), (0, 2000, 0), (5, 2000, 5)] {
                var machine = MediaEvents(profile)
                #expect(machine.setInterval(interval, standard: standard) == .nothing)
                #expect(machine.period(standard) == period)
                // At once, and then at its time.
                #expect(machine.unblock(checkNow: false, standard: standard) == (period > 0 ? .check : .nothing))
                guard period > 0 else { continue }
                #expect(machine.begin(isSynchronous: false) == [])
                #expect(machine.end(found: [], cleared: []) == [])
                #expect(machine.next(standard) == .wait(period))
            }
        }
    }
}
