import Crypto
import ICE
import STUN
import Testing

/// A lite agent and a peer that checks, on a clock that is turned by hand.
private struct Bench {
    static let ours = ICECredentials(ufrag: "ours", password: "our-password-of-22-chars")
    static let theirs = ICECredentials(ufrag: "theirs", password: "their-password-of-22-char")
    var agent = ICEAgent<String>(local: ours, remote: theirs, now: 0)
    var now: Int64 = 1_000_000_000
    private var count: UInt8 = 0

    static func hmac(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] { Digests.hmacSHA1(key: key, text) }

    /// A check from a path; what it brought, and the answer's code (0: success).
    mutating func check(
        from path: String, local: ICECredentials = ours, remote: ICECredentials = theirs, nominates: Bool = false,
        isControlled: Bool = false,
        change: (inout [UInt8]) -> Void = { _ in }
    ) -> (outcome: ICEAgent<String>.Outcome, code: Int?) {
        count += 1
        var bytes = STUNMessage.request(
            transaction: [UInt8](repeating: count, count: 12), username: "\(local.ufrag):\(remote.ufrag)", password: local.password,
            priority: 1_853_817_087, nominates: nominates, isControlled: isControlled, hmac: Self.hmac)
        change(&bytes)
        guard let message = STUNMessage(bytes.span) else { return (ICEAgent<String>.Outcome(), nil) }
        let outcome = agent.handle(message, from: path, address: [192, 0, 2, 1], port: 4711, now: now, hmac: Self.hmac)
        let answer = outcome.response.flatMap { STUNMessage($0.span) }
        return (outcome, answer.map { $0.kind == .bindingSuccess ? 0 : $0.errorCode ?? -1 })
    }
}

@Suite struct ICEAgentTests {
    @Test func theFirstPathThatWorksServesUntilThePeerChooses() {
        var bench = Bench()
        let first = bench.check(from: "a")
        #expect(first.code == 0 && first.outcome.selected == "a" && first.outcome.isValid)
        #expect(bench.check(from: "b").outcome.selected == nil)
        #expect(bench.check(from: "b", nominates: true).outcome.selected == "b")
        #expect(bench.check(from: "a").outcome.selected == nil)
        #expect(bench.agent.selected == "b")
    }

    @Test func aRebindingMovesThePath() {
        var bench = Bench()
        _ = bench.check(from: "a", nominates: true)
        #expect(bench.check(from: "a2", nominates: true).outcome.selected == "a2")
    }

    /// Such a peer checks the pair that it nominated, wherever that comes from by now, and says no more that it does.
    @Test func aRebindingOfAPeerThatNominatesOnceIsFollowedWhenItsPathIsSilent() {
        var bench = Bench()
        _ = bench.check(from: "a", nominates: true)
        // Both are used: nothing moves.
        for _ in 0..<5 {
            bench.now += 3_000_000_000
            #expect(bench.check(from: "b").outcome.selected == nil)
            bench.now += 3_000_000_000
            #expect(bench.check(from: "a").outcome.selected == nil)
        }
        bench.now += 6_000_000_000
        #expect(bench.check(from: "a2").outcome.selected == nil)
        bench.now += 4_000_000_000
        #expect(bench.check(from: "a2").outcome.selected == "a2")
        bench.now += 4_000_000_000
        #expect(bench.check(from: "a").outcome.selected == nil, "it is not left again at once")
    }

    /// Aggressive nomination (RFC 5245 §2.6): where the peer sends from tells what it uses.
    @Test func whatThePeerUsesCountsMoreThanWhatItNominates() {
        var bench = Bench()
        #expect(bench.check(from: "a", nominates: true).outcome.selected == "a")
        #expect(bench.check(from: "b", nominates: true).outcome.selected == "b")
        #expect(bench.agent.heard(on: "x", at: bench.now) == nil, "no check came from there")
        #expect(bench.agent.heard(on: "a", at: bench.now) == "a")
        #expect(bench.check(from: "b", nominates: true).outcome.selected == nil)
        #expect(bench.agent.heard(on: "a", at: bench.now) == nil && bench.agent.selected == "a")
        // In use no more, the other is chosen; what is late does not take the choice back.
        bench.now += 2_000_000_000
        #expect(bench.check(from: "b", nominates: true).outcome.selected == "b")
        #expect(bench.agent.heard(on: "a", at: bench.now + 100_000_000) == nil)
        #expect(bench.agent.heard(on: "a", at: bench.now + 600_000_000) == "a")
    }

    @Test func ofTooManyPathsTheOldestGoesButNotTheSelected() {
        var bench = Bench()
        for path in ["a", "b", "c", "d"] { #expect(bench.check(from: path).outcome.left == nil) }
        #expect(bench.agent.selected == "a")
        #expect(bench.check(from: "b").outcome.left == nil)
        #expect(bench.check(from: "e").outcome.left == "c")
        #expect(bench.agent.paths == ["a", "d", "b", "e"])
        bench.agent.lose("a")
        #expect(bench.agent.selected == nil && bench.agent.heard(on: "a", at: bench.now) == nil)
        #expect(bench.agent.heard(on: "d", at: bench.now) == "d")
    }

    @Test func successIsSealedAndTellsTheAddress() {
        var bench = Bench()
        guard let response = bench.check(from: "a").outcome.response, let message = STUNMessage(response.span) else {
            Issue.record("no answer")
            return
        }
        #expect(message.kind == .bindingSuccess && message.hasFingerprint)
        #expect(message.isAuthentic(password: Bench.ours.password, hmac: Bench.hmac))
    }

    @Test func integrityIsAsked() {
        var bench = Bench()
        var wrong = Bench.ours
        wrong.password = "another-password-of-22-c"
        let forged = bench.check(from: "x", local: wrong, nominates: true)
        #expect(forged.code == 401 && !forged.outcome.isValid && bench.agent.selected == nil)
        var stranger = Bench.theirs
        stranger.ufrag = "other"
        #expect(bench.check(from: "x", remote: stranger).code == 401)
        #expect(bench.agent.heardAt == 0, "a forged check gives no consent")
    }

    @Test func fingerprintIsAsked() {
        var bench = Bench()
        let bare = bench.check(from: "x") { bytes in
            bytes.removeLast(8)
            bytes[3] -= 8
        }
        #expect(bare.code == 400 && !bare.outcome.isValid)
    }

    @Test func aPeerThatIsControlledTooIsToldSo() {
        var bench = Bench()
        let conflict = bench.check(from: "a", isControlled: true)
        #expect(conflict.code == 487 && !conflict.outcome.isValid && bench.agent.selected == nil)
    }

    @Test func afterARestartTheOldOnesAreGoodUntilANewCheckComes() {
        var bench = Bench()
        _ = bench.check(from: "a", nominates: true)
        let (newOurs, newTheirs) = (
            ICECredentials(ufrag: "ours2", password: "our-other-password-of-22"),
            ICECredentials(ufrag: "theirs2", password: "their-other-password-22")
        )
        bench.agent.restart(local: newOurs, remote: newTheirs, now: bench.now)
        #expect(bench.check(from: "a").code == 0)
        #expect(bench.check(from: "c", local: newOurs, remote: newTheirs, nominates: true).outcome.selected == "c")
        #expect(bench.check(from: "a").code == 401)
    }

    @Test func consentRunsOutThirtySecondsAfterTheLastCheck() {
        var bench = Bench()
        #expect(bench.agent.expiresAt == 30_000_000_000)
        _ = bench.check(from: "a")
        #expect(bench.agent.expiresAt == bench.now + 30_000_000_000)
    }

    /// The peer's checks get lost, overtake each other and come from other ports: it always ends on a path that the peer chose.
    @Test(arguments: 1...40 as ClosedRange<UInt64>) func anyOrder(seed: UInt64) {
        var bench = Bench()
        var state = seed
        func random(_ count: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % count
        }
        var chosen: String?
        for _ in 0..<60 {
            bench.now += Int64(random(500)) * 1_000_000
            guard random(100) >= 30 else { continue }
            let path = ["a", "b", "c", "d"][Int(random(4))]
            let nominates = random(2) == 0
            let result = bench.check(from: path, nominates: nominates)
            #expect(result.code == 0)
            if nominates { chosen = path }
            if let chosen { #expect(bench.agent.selected == chosen) }
            #expect(bench.agent.selected != nil)
        }
    }
}
