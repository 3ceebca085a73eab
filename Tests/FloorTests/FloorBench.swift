import Talk

@testable import Floor

/// A floor with people on it, and a clock that is turned by hand.
struct FloorBench {
    var floor: FloorStateMachine
    var now: MonotonicNs = 1_000_000_000
    static let owner = user(1)
    static let manager = user(2)
    static let alice = user(3)
    static let bob = user(4)
    static let carol = user(5)

    init(_ change: (inout FloorSettings) -> Void = { _ in }, emergencies: Set<UserID> = []) {
        var settings = FloorSettings()
        change(&settings)
        floor = FloorStateMachine(settings: settings, emergencies: emergencies)
        for (uid, role) in [
            (Self.owner, Role.owner), (Self.manager, .manager), (Self.alice, .member), (Self.bob, .member), (Self.carol, .member),
        ] {
            _ = act(.join(uid, FloorMember(role: role)))
        }
    }

    /// Takes an input, gives the actions.
    mutating func act(_ input: FloorInput) -> [FloorAction] {
        var actions: [FloorAction] = []
        floor.handle(input, now: now, into: &actions)
        return actions
    }

    mutating func request(_ uid: UserID, priority: UInt8 = 0, queue: Bool? = nil) -> [FloorAction] {
        act(.request(uid, tier: .normal, priority: priority, queue: queue))
    }

    /// Turns the clock to the next deadline and ticks, until `milliseconds` have passed.
    mutating func pass(_ milliseconds: Int) -> [FloorAction] {
        let end = now + Int64(milliseconds) * 1_000_000
        var actions: [FloorAction] = []
        while let deadline = floor.nextDeadline, deadline <= end {
            now = max(now, deadline)
            let before = floor
            floor.handle(.tick, now: now, into: &actions)
            // A deadline that is due must do something, or the worker would spin.
            precondition(floor.nextDeadline.map { $0 > now } ?? true, "stuck at a deadline: \(before)")
        }
        now = end
        return actions
    }

    /// Sends a packet every 20 ms.
    mutating func talk(_ uid: UserID, milliseconds: Int) -> [FloorAction] {
        var actions: [FloorAction] = []
        for _ in 0..<milliseconds / 20 {
            _ = floor.media(from: uid, now: now)
            actions += pass(20)
        }
        return actions
    }
}

func user(_ value: Int64) -> UserID { UserID(value) ?? { preconditionFailure("test user") }() }

extension [FloorAction] {
    /// Without what consoles are told.
    var signals: [FloorAction] {
        filter {
            if case .event = $0 { return false }
            return true
        }
    }
}
