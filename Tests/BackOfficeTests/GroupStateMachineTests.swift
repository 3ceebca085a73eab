import Talk
import Testing

@testable import BackOffice

@Suite struct GroupStateMachineTests {
    // The table beside the machine, row by row.
    static let rows: [(GroupStatus, GroupStateMachine.Input, GroupStatus, [GroupStateMachine.Action])] = [
        (.pending, .created(.ok), .active, [.announce]),
        (.pending, .created(.unknown), .rollingBack, [.sendDestroy]), (.pending, .created(.roomExists), .pending, [.remove]),
        (.pending, .created(nil), .rollingBack, [.sendDestroy]),
        (.pending, .restart, .rollingBack, [.sendDestroy]),
        (.pending, .delete, .pending, []),
        (.active, .delete, .deleting, [.sendDestroy, .announce]),
        (.active, .created(nil), .active, []),
        (.active, .restart, .active, []),
        (.active, .destroyed(.ok), .active, []),
        (.deleting, .delete, .deleting, []),
        (.deleting, .restart, .deleting, []),
        (.deleting, .destroyed(.ok), .deleting, [.remove]),
        (.deleting, .destroyed(.noSuchRoom), .deleting, [.remove]),
        (.deleting, .destroyed(.unknown), .deleting, []),
        (.rollingBack, .created(.ok), .rollingBack, []),
        (.rollingBack, .delete, .rollingBack, []),
        (.rollingBack, .destroyed(.noSuchRoom), .rollingBack, [.remove]),
        (.rollingBack, .destroyed(.notReady), .rollingBack, []),
    ]

    @Test(arguments: rows.indices) func everyRow(_ index: Int) {
        let (before, input, after, actions) = Self.rows[index]
        var machine = GroupStateMachine(before)
        #expect(machine.handle(input) == actions)
        #expect(machine.status == after)
    }
}

@Suite struct IdempotencyStateMachineTests {
    @Test func aKeyInFlightWaitsAndAnotherRequestIsRefused() {
        var machine = IdempotencyStateMachine()
        #expect(machine.begin("k", fingerprint: "a", waiter: 1) == .run)
        #expect(machine.begin("k", fingerprint: "a", waiter: 2) == .wait)
        #expect(machine.begin("k", fingerprint: "b", waiter: 3) == .conflict)
        #expect(machine.begin("k", fingerprint: "a", waiter: 4) == .wait)
        #expect(machine.finished("k") == [2, 4])
        #expect(machine.begin("k", fingerprint: "b", waiter: 5) == .run)
    }

    @Test func failuresOfOursAreNotKept() {
        #expect(IdempotencyStateMachine.keeps(201))
        #expect(IdempotencyStateMachine.keeps(409))
        #expect(!IdempotencyStateMachine.keeps(504))
    }
}
