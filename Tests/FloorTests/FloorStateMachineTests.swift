import Talk
import TestTraits
import Testing

@testable import Floor

private typealias B = FloorBench

/// Every row of the transition table at `FloorStateMachine`.
@Suite struct FloorStateMachineTests {
    private func grant(
        _ role: Role, priority: UInt8 = 0, tier: Tier = .normal, ms: Int = 30_000, stream: FloorStream = .main, new: Bool = true
    )
        -> Grant
    {
        Grant(stream: stream, durationMs: ms, claim: Claim(tier: tier, role: role, priority: priority), isNew: new)
    }

    @Test func requestOnIdleFloorIsGranted() {
        var bench = B()
        #expect(bench.request(B.alice) == [.granted(B.alice, grant(.member)), .taken(B.alice, .main), .event(.taken, B.alice)])
        #expect(bench.floor.holder == B.alice)
    }

    @Test func requestWhileAloneIsDeniedWhereTheRoomSaysSo() {
        var bench = B { $0.denyAlone = true }
        for uid in [B.owner, B.manager, B.bob, B.carol] { _ = bench.act(.leave(uid)) }
        #expect(bench.request(B.alice) == [.denied(B.alice, .onlyOneParticipant, retryAfterMs: nil)])
    }

    @Test func listenOnlyBarredAndNotTheBroadcasterAreDenied() {
        var bench = B()
        _ = bench.act(.join(user(9), FloorMember(role: .member, listenOnly: true)))
        #expect(bench.request(user(9)) == [.denied(user(9), .receiveOnly, retryAfterMs: nil)])
        _ = bench.act(.bar(B.alice))
        #expect(bench.request(B.alice) == [.denied(B.alice, .receiveOnly, retryAfterMs: nil)])
        #expect(bench.act(.unbar(B.alice)).isEmpty)
        var broadcast = B { $0.broadcaster = B.owner }
        #expect(broadcast.request(B.alice) == [.denied(B.alice, .receiveOnly, retryAfterMs: nil)])
        #expect(broadcast.request(B.owner).signals.first == .granted(B.owner, grant(.owner)))
    }

    @Test func requestByTheHolderTellsTheTimeLeft() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.talk(B.alice, milliseconds: 2_000)
        #expect(bench.request(B.alice) == [.granted(B.alice, grant(.member, ms: 28_000, new: false))])
    }

    @Test func requestNotHigherIsQueuedInOrder() {
        var bench = B()
        _ = bench.request(B.alice)
        #expect(bench.request(B.bob).signals == [.queued(B.bob, position: 1, priority: 0)])
        #expect(bench.request(B.carol).signals == [.queued(B.carol, position: 2, priority: 0)])
        #expect(bench.request(B.bob).signals == [.queued(B.bob, position: 1, priority: 0)], "asking again answers the position")
        #expect(bench.act(.position(B.carol)) == [.queued(B.carol, position: 2, priority: 0)])
        #expect(bench.act(.position(B.owner)) == [.queued(B.owner, position: nil, priority: 0)])
    }

    @Test func requestNotHigherIsDeniedWithoutQueueing() {
        var bench = B()
        _ = bench.request(B.alice)
        #expect(bench.request(B.bob, queue: false) == [.denied(B.bob, .anotherHasIt, retryAfterMs: nil)])
    }

    @Test func fullQueueDenies() {
        var bench = B { $0.queueMax = 1 }
        _ = bench.request(B.alice)
        _ = bench.request(B.bob)
        #expect(bench.request(B.carol) == [.denied(B.carol, .queueFull, retryAfterMs: nil)])
    }

    @Test func higherRoleCutsIn() {
        var bench = B()
        _ = bench.request(B.alice)
        #expect(
            bench.request(B.manager).signals == [
                .revoked(B.alice, .preempted), .ended(B.alice, .main), .granted(B.manager, grant(.manager)), .taken(B.manager, .main),
            ])
        #expect(bench.request(B.alice, queue: false) == [.denied(B.alice, .anotherHasIt, retryAfterMs: nil)])
    }

    @Test func higherPriorityCutsInAndAFullQueueDoesNotHoldItBack() {
        var bench = B { $0.queueMax = 0 }
        _ = bench.request(B.alice, priority: 3)
        #expect(bench.request(B.bob, priority: 3) == [.denied(B.bob, .queueFull, retryAfterMs: nil)])
        #expect(bench.request(B.bob, priority: 4).signals.first == .revoked(B.alice, .preempted))
        #expect(bench.floor.holder == B.bob)
    }

    @Test func priorityIsCapped() {
        var bench = B { $0.priorityCap = 10 }
        _ = bench.request(B.alice, priority: 10)
        #expect(bench.request(B.bob, priority: 255).signals == [.queued(B.bob, position: 1, priority: 10)])
    }

    @Test func preemptionWithGraceLetsTheHolderFinish() {
        var bench = B { $0.preemptGraceMs = 500 }
        _ = bench.request(B.alice)
        #expect(bench.request(B.manager).signals == [.revoked(B.alice, .preempted), .queued(B.manager, position: 1, priority: 0)])
        #expect(bench.floor.media(from: B.alice, now: bench.now) == .forward(.main, first: true), "media still flows")
        #expect(bench.request(B.alice) == [.revoked(B.alice, .preempted)])
        let actions = bench.pass(600).signals
        #expect(actions.prefix(2) == [.ended(B.alice, .main), .granted(B.manager, grant(.manager))])
    }

    @Test func releaseGrantsTheNextOrTellsIdle() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.request(B.bob)
        #expect(bench.act(.release(B.alice)).signals == [.ended(B.alice, .main), .granted(B.bob, grant(.member)), .taken(B.bob, .main)])
        #expect(bench.act(.release(B.bob)) == [.ended(B.bob, .main), .idle, .event(.idle, nil)])
        #expect(bench.act(.release(B.bob)) == [.state(B.bob)], "a release of who has nothing tells how things stand")
    }

    @Test func leavingReleasesAndLeavesTheQueue() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.request(B.bob)
        _ = bench.request(B.carol)
        #expect(bench.act(.leave(B.bob)).signals == [.queued(B.carol, position: 1, priority: 0)])
        #expect(bench.act(.leave(B.alice)).signals.first == .ended(B.alice, .main))
        #expect(bench.floor.holder == B.carol)
    }

    @Test func silenceEndsTheTalk() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.talk(B.alice, milliseconds: 100)
        #expect(bench.pass(3_900).isEmpty)
        #expect(bench.pass(200) == [.ended(B.alice, .main), .idle, .event(.idle, nil)], "T1: no Revoke")
    }

    @Test func talkingTooLongIsRevokedThenTakenAwayAndMustWait() {
        var bench = B()
        _ = bench.request(B.alice)
        let first = bench.talk(B.alice, milliseconds: 30_020).signals
        #expect(first == [.revoked(B.alice, .tooLong)])
        #expect(bench.talk(B.alice, milliseconds: 2_900).signals == [.revoked(B.alice, .tooLong), .revoked(B.alice, .tooLong)], "T8")
        #expect(bench.talk(B.alice, milliseconds: 200).signals == [.ended(B.alice, .main), .idle], "T3")
        guard case .denied(B.alice, .retryAfter, let wait?) = bench.request(B.alice).first else {
            Issue.record("not denied with retry-after")
            return
        }
        #expect(wait > 1_500 && wait <= 2_000)
        _ = bench.pass(2_000)
        #expect(bench.request(B.alice).signals.first == .granted(B.alice, grant(.member)))
    }

    @Test func somebodyMoreUrgentDoesNotWaitForTheGraceOfATalkThatWasTooLong() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.talk(B.alice, milliseconds: 30_020)
        #expect(
            bench.request(B.manager).signals == [
                .revoked(B.alice, .preempted), .ended(B.alice, .main), .granted(B.manager, grant(.manager)), .taken(B.manager, .main),
            ])
        var patient = B { $0.preemptGraceMs = 500 }
        _ = patient.request(B.alice)
        _ = patient.talk(B.alice, milliseconds: 30_020)
        let actions = patient.request(B.manager)
        #expect(actions.signals == [.revoked(B.alice, .preempted), .queued(B.manager, position: 1, priority: 0)])
        #expect(actions.contains(.event(.queue, B.manager)))
        #expect(patient.pass(600).signals.prefix(2) == [.ended(B.alice, .main), .granted(B.manager, grant(.manager))])
    }

    @Test func anEmergencyTakesBackWhatIsBeingTakenAway() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.talk(B.alice, milliseconds: 30_020)
        let actions = bench.act(.emergency(B.alice)).signals
        guard case .granted(B.alice, let grant)? = actions.first(where: { if case .granted = $0 { true } else { false } }) else {
            Issue.record("not granted: \(actions)")
            return
        }
        #expect(!grant.isNew && grant.durationMs > 80_000 && grant.claim.tier == .emergency)
        #expect(bench.talk(B.alice, milliseconds: 10_000).signals.isEmpty && bench.floor.holder == B.alice)
    }

    @Test func whoMustWaitDoesSoToWhenTheyComeAnew() {
        var bench = B { $0.t3Ms = 0 }
        _ = bench.request(B.alice)
        _ = bench.talk(B.alice, milliseconds: 30_020)
        _ = bench.act(.leave(B.alice))
        _ = bench.act(.join(B.alice, FloorMember(role: .member)))
        guard case .denied(B.alice, .retryAfter, _)? = bench.request(B.alice).first else {
            Issue.record("not denied")
            return
        }
        _ = bench.pass(5_000)
        #expect(bench.request(B.alice).signals.first == .granted(B.alice, grant(.member)))
    }

    @Test func emergenciesAreBoundedAndTheDispatcherEndsThem() {
        var bench = B {
            $0.emergenciesMax = 2
            $0.dispatcher = B.carol
        }
        _ = bench.act(.emergency(B.alice))
        _ = bench.act(.emergency(B.bob))
        #expect(bench.act(.emergency(B.owner)) == [.denied(B.owner, .noResources, retryAfterMs: nil)])
        #expect(bench.act(.cancelEmergency(B.alice, by: B.bob)) == [.denied(B.bob, .other, retryAfterMs: nil)])
        #expect(bench.act(.cancelEmergency(B.alice, by: B.carol)).contains(.event(.cancelled, B.alice)))
        #expect(bench.floor.emergencies == [B.bob])
    }

    @Test func voiceAsksOnceASecondAndEnds() {
        var gate = VoiceGate()
        let asked = (0..<100).filter { gate.voice(at: MonotonicNs($0) * 20_000_000) }
        #expect(asked == [2, 52])
        #expect(!gate.hasEnded(at: 99 * 20_000_000 + 3_000_000_000, after: 4_000_000_000))
        #expect(gate.hasEnded(at: 99 * 20_000_000 + 4_000_000_001, after: 4_000_000_000))
        gate.reset()
        #expect(!gate.hasEnded(at: .max / 2, after: 4_000_000_000))
    }

    @Test func aGrantFromTheQueueIsRepeatedThenGivenOn() {
        var bench = B { $0.t1Ms = 60_000 }
        _ = bench.request(B.alice)
        _ = bench.request(B.bob)
        _ = bench.request(B.carol)
        _ = bench.act(.release(B.alice))
        let again = FloorAction.granted(B.bob, grant(.member, new: false))
        #expect(bench.pass(3_500).signals == [again, again, again])
        #expect(bench.pass(1_000).signals.prefix(2) == [.ended(B.bob, .main), .granted(B.carol, grant(.member))])
    }

    @Test func inactivityIsToldOnce() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.act(.release(B.alice))
        #expect(bench.pass(120_000) == [.event(.inactive, nil)])
    }

    @Test func idleIsRepeatedWhereAskedFor() {
        var bench = B { $0.t7Ms = 1_000 }
        _ = bench.request(B.alice)
        _ = bench.act(.release(B.alice))
        #expect(bench.pass(20_000).signals == [FloorAction](repeating: .idle, count: 10))
    }

    @Test func roleChangeSortsTheQueueAndTakesNothingAway() {
        var bench = B()
        _ = bench.request(B.alice)
        _ = bench.request(B.bob)
        _ = bench.request(B.carol)
        #expect(
            bench.act(.role(B.carol, .manager)) == [.queued(B.carol, position: 1, priority: 0), .queued(B.bob, position: 2, priority: 0)])
        #expect(bench.floor.holder == B.alice)
        #expect(bench.request(B.carol).signals.first == .revoked(B.alice, .preempted), "asking again pre-empts")
    }

    @Test func mediaWithoutTheFloorIsDroppedAndToldOncePerT8() {
        var bench = B()
        _ = bench.act(.join(user(9), FloorMember(role: .member, signals: false)))
        #expect(bench.floor.media(from: user(9), now: bench.now) == .drop, "stock clients are told nothing")
        #expect(bench.floor.media(from: B.bob, now: bench.now) == .dropAndRevoke)
        #expect(bench.floor.media(from: B.bob, now: bench.now + 900_000_000) == .drop)
        #expect(bench.floor.media(from: B.bob, now: bench.now + 1_100_000_000) == .dropAndRevoke)
        _ = bench.request(B.alice)
        _ = bench.act(.release(B.alice))
        #expect(bench.floor.media(from: B.alice, now: bench.now + 400_000_000) == .drop, "silence for 500 ms after losing it")
        #expect(bench.floor.media(from: B.alice, now: bench.now + 600_000_000) == .dropAndRevoke)
        #expect(bench.floor.media(from: user(77), now: bench.now) == .drop)
    }

    @Test func barTakesTheFloor() {
        var bench = B()
        _ = bench.request(B.alice)
        #expect(bench.act(.bar(B.alice)).signals == [.revoked(B.alice, .noPermission), .ended(B.alice, .main), .idle])
    }
}

/// Emergencies and dual floors.
@Suite struct FloorSpecialCallTests {
    @Test func emergencyCutsInOverTheOwnerAndIgnoresLimits() {
        var bench = B { $0.queueMax = 0 }
        _ = bench.act(.join(user(9), FloorMember(role: .member, listenOnly: true)))
        _ = bench.request(B.owner)
        let actions = bench.act(.emergency(user(9)))
        #expect(actions.prefix(3) == [.event(.emergency, user(9)), .emergenciesChanged, .revoked(B.owner, .preempted)])
        #expect(bench.floor.holder == user(9))
        #expect(bench.floor.tier == .emergency)
        #expect(actions.contains { if case .granted(user(9), let grant) = $0 { grant.durationMs == 120_000 } else { false } })
    }

    @Test func emergencyOutlivesLeavingAndIsEndedByThoseWhoMay() {
        var bench = B()
        _ = bench.act(.emergency(B.alice))
        _ = bench.act(.leave(B.alice))
        #expect(bench.floor.emergencies == [B.alice])
        #expect(bench.act(.cancelEmergency(B.alice, by: B.bob)) == [.denied(B.bob, .other, retryAfterMs: nil)])
        #expect(bench.act(.cancelEmergency(nil, by: B.manager)).prefix(2) == [.event(.cancelled, B.alice), .emergenciesChanged])
        #expect(bench.floor.emergencies.isEmpty)
        _ = bench.act(.emergency(B.bob))
        #expect(bench.act(.cancelEmergency(B.bob, by: nil)).contains(.emergenciesChanged), "the dispatcher may")
    }

    @Test func emergencyNeedsARoleThatMay() {
        var bench = B { $0.emergencyRoles = [.owner] }
        #expect(bench.act(.emergency(B.alice)) == [.denied(B.alice, .other, retryAfterMs: nil)])
    }

    @Test func anEqualEmergencyWaitsAndIsNotDroppedByAFullQueue() {
        var bench = B { $0.queueMax = 0 }
        _ = bench.act(.emergency(B.alice))
        let actions = bench.act(.emergency(B.bob)).signals
        #expect(actions.contains(.queued(B.bob, position: 1, priority: 255)))
        #expect(bench.floor.holder == B.alice)
    }

    @Test func anOwnerTalksOverTheHolderInADualFloor() {
        var bench = B { $0.dualFloor = true }
        _ = bench.request(B.alice)
        let actions = bench.request(B.owner).signals
        #expect(actions.contains(.taken(B.owner, .override)))
        #expect(bench.floor.holder == B.alice)
        #expect(bench.floor.overrider == B.owner)
        #expect(bench.floor.media(from: B.owner, now: bench.now) == .forward(.override, first: true))
        #expect(bench.floor.media(from: B.alice, now: bench.now) == .forward(.main, first: true))
        #expect(bench.act(.release(B.owner)).signals == [.ended(B.owner, .override), .taken(B.alice, .main)])
    }
}

/// Random inputs, and what must hold after each (FLOOR.md, "Invariants").
@Suite(.oneAtATime) struct FloorInvariantTests {
    @Test(arguments: 0..<60) func invariantsHold(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var bench = FloorBench {
            $0.queueMax = Int.random(in: 0...3, using: &random)
            $0.preemptGraceMs = Bool.random(using: &random) ? 0 : 700
            $0.dualFloor = Bool.random(using: &random)
            $0.t2Ms = 2_000
            $0.denyAlone = Bool.random(using: &random)
        }
        for step in 0..<600 {
            let uid = user(Int64.random(in: 1...6, using: &random))
            let before = bench.floor
            let input = FloorBench.input(uid, &random)
            let actions = bench.act(input)
            check(before, input, actions, bench.floor, "seed \(seed), step \(step), \(input)")
            _ = bench.floor.media(from: uid, now: bench.now)
            let passed = bench.pass(Int.random(in: 0...1_500, using: &random))
            #expect(granted(passed).allSatisfy { bench.floor.members[$0] != nil }, "seed \(seed), step \(step)")
        }
    }

    private func check(
        _ before: FloorStateMachine, _ input: FloorInput, _ actions: [FloorAction], _ after: FloorStateMachine, _ place: Comment
    ) {
        #expect(after.override == nil || after.settings.dualFloor, place)
        #expect(after.main == nil || after.main?.uid != after.override?.uid, place)
        for holder in [after.main, after.override] { if let holder { #expect(after.members[holder.uid] != nil, place) } }
        #expect(Set(after.waiting).count == after.waiting.count, place)
        #expect(after.waiting.allSatisfy { after.stream(of: $0) == nil && after.members[$0] != nil }, place)
        #expect(after.main != nil || after.queue.isEmpty, "who waits for an idle floor waits for ever")
        // Never pre-empted by an equal or lower claim.
        if case .request(let uid, _, _, _) = input, let holder = before.main, after.main?.uid == uid, holder.uid != uid,
            holder.revoking == nil,
            let claim = after.main?.claim
        {
            #expect(claim > holder.claim, place)
        }
        // Whoever asks is granted, told a position, told no, or told to stop.
        if case .request(let uid, _, _, _) = input, before.members[uid] != nil {
            #expect(
                actions.contains {
                    switch $0 {
                    case .granted(uid, _), .denied(uid, _, _), .queued(uid, _, _), .revoked(uid, _): true
                    default: false
                    }
                }, place)
        }
    }

    private func granted(_ actions: [FloorAction]) -> [UserID] {
        actions.compactMap { if case .granted(let uid, _) = $0 { uid } else { nil } }.suffix(1)
    }
}

extension FloorBench {
    static func input(_ uid: UserID, _ random: inout SplitMix) -> FloorInput {
        switch Int.random(in: 0..<14, using: &random) {
        case 0...4: .request(uid, tier: .normal, priority: UInt8.random(in: 0...2, using: &random), queue: nil)
        case 5, 6: .release(uid)
        case 7: .join(uid, FloorMember(role: Role(rawValue: Int.random(in: 0...2, using: &random)) ?? .member))
        case 8: .leave(uid)
        case 9: .role(uid, Role(rawValue: Int.random(in: 0...2, using: &random)) ?? .member)
        case 10: .emergency(uid)
        case 11: .cancelEmergency(Bool.random(using: &random) ? uid : nil, by: Bool.random(using: &random) ? uid : nil)
        case 12: Bool.random(using: &random) ? .bar(uid) : .unbar(uid)
        default: .tick
        }
    }
}

/// A small generator whose seed gives the same inputs again (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
