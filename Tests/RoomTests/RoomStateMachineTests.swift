import Floor
import Talk
import Testing

@testable import Room

/// A room with a clock that is turned by hand, and a generator that gives the same numbers each time.
struct RoomBench {
    var room: RoomStateMachine
    var random = Counter()
    var at = Moment(monotonic: 1_000_000_000, wallMs: 1_700_000_000_000)

    struct Counter: RandomNumberGenerator {
        var value: UInt64 = 0
        mutating func next() -> UInt64 {
            value += 1
            return value
        }
    }

    init(_ change: (inout RoomRules) -> Void = { _ in }, mode: RoomMode = .ptt, options: GroupOptions = GroupOptions()) throws {
        var rules = RoomRules()
        change(&rules)
        let gid = try #require(GroupID(470))
        room = RoomStateMachine(RoomIdentity(gid: gid, name: "Test", dispatcher: 7, mode: mode, options: options), rules: rules)
    }

    mutating func join(_ uid: Int64, role: Role = .member, endpoint: UInt64? = nil, _ change: (inout Joining) -> Void = { _ in }) throws
        -> [RoomEffect]
    {
        var joining = Joining(uid: user(uid), display: "u\(uid)", endpoint: EndpointID(endpoint ?? UInt64(uid)))
        change(&joining)
        return try room.join(joining, role: role, at: at, random: &random)
    }

    mutating func floor(_ input: FloorInput) -> [RoomEffect] { room.handle(input, at: at, random: &random) }

    mutating func pass(ms: Int64) -> [RoomEffect] {
        let end = at.monotonic + ms * 1_000_000
        var effects: [RoomEffect] = []
        while let deadline = room.nextDeadline, deadline <= end {
            at.wallMs += (deadline - at.monotonic) / 1_000_000
            at.monotonic = max(at.monotonic, deadline)
            effects += room.tick(at: at, random: &random)
        }
        at.monotonic = end
        return effects
    }
}

func user(_ value: Int64) -> UserID { UserID(value) ?? { preconditionFailure("test user") }() }

private func news(_ effects: [RoomEffect]) -> [RoomNews] { effects.compactMap { if case .publish(let news) = $0 { news } else { nil } } }

@Suite struct RoomStateMachineTests {
    @Test func aJoinIsToldToConsolesAndToTheOthers() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        let effects = try bench.join(2, role: .manager)
        #expect(news(effects).map(\.state) == [.joined])
        #expect(news(effects).map(\.seq) == [2])
        #expect(effects.contains { if case .tellFollowers(user(2), .joined(let who, false)) = $0 { who.role == .manager } else { false } })
        #expect(effects.contains(.tell(user(2), .idle(sequence: 0))), "a late joiner is told how things stand")
    }

    @Test func aLateJoinerIsToldWhoTalks() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        _ = bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil))
        let effects = try bench.join(2)
        #expect(effects.contains(.tell(user(2), .taken(holder: user(1), display: "u1", stream: .main, tier: .normal, sequence: 1))))
    }

    @Test func aGrantOpensTheStreamWithATalkID() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        let effects = bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil))
        guard case .opened(.main, user(1), let talk) = effects.first else {
            Issue.record("not opened first: \(effects)")
            return
        }
        #expect(talk.description.split(separator: "-")[2].hasPrefix("7"), "UUIDv7")
        #expect(news(effects).last?.talkID == talk)
        #expect(news(effects).last?.holder == user(1))
        let closing = bench.floor(.release(user(1)))
        #expect(closing.first == .closed(.main, user(1)))
        #expect(news(closing).last?.talkID == nil)
    }

    @Test func theNewestJoinOfAUserWins() throws {
        var bench = try RoomBench()
        _ = try bench.join(1, endpoint: 10)
        _ = bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil))
        let effects = try bench.join(1, endpoint: 11)
        #expect(effects.contains { if case .removed(let old, .kicked(user(1))) = $0 { old.endpoint == EndpointID(10) } else { false } })
        #expect(bench.room.participants[user(1)]?.endpoint == EndpointID(11))
        #expect(bench.room.floor.holder == user(1), "its floor stays")
    }

    @Test func withTakeoverOffTheOlderStayWins() throws {
        var bench = try RoomBench { $0.takeover = false }
        _ = try bench.join(1, endpoint: 10)
        #expect { try bench.join(1, endpoint: 11) } throws: { ($0 as? Refusal)?.code == .idExists }
        bench.room.vanish(user(1), at: bench.at)
        _ = try bench.join(1, endpoint: 11)
    }

    @Test func whoVanishedIsPutOutAfterAWhileUnlessBack() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        _ = try bench.join(2)
        bench.room.vanish(user(1), at: bench.at)
        bench.room.vanish(user(2), at: bench.at)
        bench.room.reclaim(user(2))
        #expect(news(bench.pass(ms: 29_000)).isEmpty)
        let effects = bench.pass(ms: 2_000)
        #expect(news(effects).map(\.state) == [.left])
        #expect(bench.room.participants.keys.sorted() == [user(2)])
    }

    @Test func aSnapshotComesEveryMinuteWhileSomebodyIsThere() throws {
        var bench = try RoomBench()
        #expect(bench.room.nextDeadline == nil, "an idle room has no timer")
        _ = try bench.join(1)
        let snapshots = news(bench.pass(ms: 125_000)).filter { $0.state == .snapshot }
        #expect(snapshots.count == 2)
        #expect(snapshots.first?.participants?.map(\.uid) == [user(1)])
        _ = bench.room.leave(user(1), at: bench.at, random: &bench.random)
        #expect(news(bench.pass(ms: 125_000)).isEmpty)
    }

    @Test func destroyEndsTalksAndPutsEverybodyOut() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        _ = try bench.join(2)
        _ = bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil))
        let effects = bench.room.destroy(at: bench.at, random: &bench.random)
        #expect(effects.first == .closed(.main, user(1)))
        #expect(effects.filter { if case .removed(_, .destroyed) = $0 { true } else { false } }.count == 2)
    }

    @Test func alteringSomebodyWhoIsNotThereIsRefused() throws {
        var bench = try RoomBench()
        #expect { try bench.room.setRole(.manager, of: user(9), at: bench.at, random: &bench.random) } throws: {
            ($0 as? Refusal)?.code == .notJoined
        }
    }

    @Test func optionsChangeTheFloor() throws {
        var bench = try RoomBench()
        var options = GroupOptions()
        options.queueMax = 0
        let effects = bench.room.alter(name: "New", options: options, at: bench.at, random: &bench.random)
        #expect(effects == [.persist])
        #expect(bench.room.identity.name == "New")
        #expect(bench.room.floor.settings.queueMax == 0)
    }

    @Test func anEmergencyIsKept() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        #expect(bench.floor(.emergency(user(1))).contains(.persist))
        #expect(bench.room.floor.emergencies == [user(1)])
    }

    @Test func aRoomThatAsksForPassesTakesOnlyThose() throws {
        var bench = try RoomBench()
        bench.room.passes = ["secret"]
        #expect { try bench.join(1) } throws: { ($0 as? Refusal)?.code == .unauthorized }
        var joining = Joining(uid: user(1), display: "", endpoint: EndpointID(1))
        joining.token = "secret"
        _ = try bench.room.join(joining, role: .member, at: bench.at, random: &bench.random)
    }

    @Test func aMutedRoomMutesWhoComesToo() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        _ = bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil))
        let effects = try bench.room.mute(true, nil, at: bench.at, random: &bench.random)
        #expect(effects.contains(.closed(.main, user(1))))
        _ = try bench.join(2)
        let answer = bench.floor(.request(user(2), tier: .normal, priority: 0, queue: nil))
        #expect(answer.contains(.tell(user(2), .denied(.receiveOnly, retryAfterMs: nil))))
    }

    @Test func whoWasMutedIsStillMutedWhenTheyComeBack() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        _ = try bench.room.mute(true, user(1), at: bench.at, random: &bench.random)
        _ = bench.room.leave(user(1), at: bench.at, random: &bench.random)
        _ = try bench.join(1, endpoint: 9)
        #expect(bench.room.participants[user(1)]?.barred == true)
        #expect(
            bench.floor(.request(user(1), tier: .normal, priority: 0, queue: nil)) == [
                .tell(user(1), .denied(.receiveOnly, retryAfterMs: nil))
            ])
        _ = try bench.room.mute(false, user(1), at: bench.at, random: &bench.random)
        _ = bench.room.leave(user(1), at: bench.at, random: &bench.random)
        _ = try bench.join(1)
        #expect(bench.room.participants[user(1)]?.barred == false)
    }

    @Test func whoIsAwayTooLongIsToldSoThatTheyMayJoinAgain() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        bench.room.vanish(user(1), at: bench.at)
        let gone = bench.pass(ms: 31_000).contains { if case .removed(_, told: .left) = $0 { true } else { false } }
        #expect(gone && bench.room.participants.isEmpty)
    }

    @Test func guestsWithoutNumberAreForgotten() throws {
        var bench = try RoomBench { $0.participantsMax = 2 }
        _ = try bench.join(1, role: .manager)
        for uid in 2..<50 as Range<Int64> {
            _ = try bench.join(uid, role: .owner)
            _ = bench.room.leave(user(uid), at: bench.at, random: &bench.random)
        }
        #expect(bench.room.lastRole(of: user(1)) == .manager && bench.room.lastRole(of: user(2)) == .member)
    }

    @Test func aRoomThatFollowsAnotherGoesOnWithItsNumbers() throws {
        var bench = try RoomBench()
        _ = try bench.join(1)
        let last = news(bench.room.destroy(at: bench.at, random: &bench.random)).last?.seq
        #expect(last == bench.room.seq)
        var next = RoomStateMachine(bench.room.identity, rules: RoomRules(), after: bench.room.seq)
        let joining = Joining(uid: user(2), display: "u2", endpoint: EndpointID(2))
        let told = news(try next.join(joining, role: .member, at: bench.at, random: &bench.random))
        #expect(told.map(\.state) == [.snapshot, .joined] && told.map(\.seq) == [bench.room.seq + 1, bench.room.seq + 2])
        #expect(told.first?.participants.map { $0.map(\.uid) } == [user(2)])
    }
}
