import DTLS
import ICE
import PeerSession
import Support
import TestTraits
import Testing

/// A peer and our session over networks of every kind, in virtual time. Each failure names its seed.
@Suite(.oneAtATime) struct PeerSessionTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>, [DTLSSession.Role.server, .client])
    func onAGoodLineMediaCanFlowWithinASecond(seed: UInt64, role: DTLSSession.Role) throws {
        let world = try World(seed: seed, .clean, ourRole: role)
        #expect(world.getUp(within: 1 * seconds), "seed \(seed)")
        let ours = try #require(world.server.keys.first, "seed \(seed)")
        #expect(ours.exported == world.client.keys?.exported && ours.isClient == (role == .client), "seed \(seed)")
        #expect(world.server.session.selected == world.client.address, "seed \(seed)")
    }

    /// 30 % loss each way, datagrams twice and out of order.
    @Test(arguments: 1...200 as ClosedRange<UInt64>, [DTLSSession.Role.server, .client])
    func onABadLineTheyCanWithinTwentySeconds(seed: UInt64, role: DTLSSession.Role) throws {
        let world = try World(seed: seed, .bad, ourRole: role)
        #expect(world.getUp(within: 20 * seconds), "seed \(seed): not up, \(world.server.ending.map { "\($0)" } ?? "still trying")")
        #expect(world.server.keys.first?.exported == world.client.keys?.exported && world.server.keys.count == 1, "seed \(seed)")
    }

    @Test(arguments: 1...30 as ClosedRange<UInt64>) func talkIsHeardAsOftenAsTheLineLetsThrough(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 10, duplication: 0, delayMs: 10...60))
        try #require(world.getUp(), "seed \(seed)")
        world.talk(for: 10 * seconds)
        world.network.run(until: world.network.now + 11 * seconds)
        for count in [world.client.heard, world.server.media.count] {
            #expect((400...490).contains(count), "seed \(seed): \(count) of 500")
        }
        #expect(world.server.ending == nil, "seed \(seed)")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func aPeerThatChecksStays(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 10, duplication: 5, delayMs: 10...100))
        try #require(world.getUp(), "seed \(seed)")
        world.network.run(until: 600 * seconds) { world.server.ending != nil }
        #expect(world.server.ending == nil, "seed \(seed)")
        #expect(world.server.paths == [world.client.address], "seed \(seed)")
    }

    @Test(arguments: 1...30 as ClosedRange<UInt64>) func consentEndsThirtySecondsAfterTheLastCheck(seed: UInt64) throws {
        let world = try World(seed: seed, .bad)
        try #require(world.getUp(), "seed \(seed)")
        world.network.plan(at: world.network.now + 20 * seconds) { world.client.isAlive = false }
        world.network.run(until: world.network.now + 60 * seconds) { world.server.ending != nil }
        let ending = try #require(world.server.ending, "seed \(seed)")
        #expect(ending.reason == .consentExpired && ending.at == world.server.provedAt + 30 * seconds, "seed \(seed): \(ending)")
        #expect(world.server.session.deadline == nil, "seed \(seed)")
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>) func aGoodbyeEndsItAtOnce(seed: UInt64) throws {
        let world = try World(seed: seed, .clean)
        try #require(world.getUp(), "seed \(seed)")
        world.network.run(until: world.network.now + seconds)
        world.client.leave()
        world.network.run(until: world.network.now + seconds) { world.server.ending != nil }
        #expect(world.server.ending?.reason == .goodbye, "seed \(seed)")
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>) func ourGoodbyeIsHeard(seed: UInt64) throws {
        let world = try World(seed: seed, .clean)
        try #require(world.getUp(), "seed \(seed)")
        world.server.perform(world.server.session.close(), from: world.server.address, world.network.now)
        world.network.run(until: world.network.now + seconds) { world.client.event == .closed }
        #expect(world.client.event == .closed && world.server.session.close().isEmpty, "seed \(seed)")
    }

    @Test(arguments: 1...30 as ClosedRange<UInt64>) func aRestartKeepsKeysAndTalk(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 20, duplication: 10, delayMs: 10...100))
        try #require(world.getUp(), "seed \(seed)")
        let (ours, theirs) = (
            ICECredentials(ufrag: "ours2", password: "our-other-password-of-22"),
            ICECredentials(ufrag: "theirs2", password: "their-other-password-22")
        )
        world.talk(for: 10 * seconds)
        // The answer is a while on its way: until then the peer's checks bear the old ones.
        world.network.plan(at: world.network.now + 2 * seconds) { [server = world.server, network = world.network] in
            server.session.restart(local: ours, remote: theirs, at: network.now)
        }
        world.network.plan(at: world.network.now + 5 * seconds) { [client = world.client, network = world.network] in
            // Of another network, too.
            client.address = VirtualAddress(3, 50_000)
            client.restart(local: theirs, remote: ours, at: network.now)
        }
        world.network.run(until: world.network.now + 40 * seconds) { world.server.paths.count == 2 }
        #expect(world.server.paths.last == VirtualAddress(3, 50_000), "seed \(seed)")
        #expect(world.server.keys.count == 1 && world.server.ending == nil, "seed \(seed)")
        // What was good before counts no longer.
        world.client.restart(local: World.theirs, remote: World.ours, at: world.network.now)
        world.network.conditions = .clean
        world.client.check(at: world.network.now)
        world.network.run(until: world.network.now + seconds)
        #expect(world.client.errors.last == 401, "seed \(seed)")
    }

    @Test func aRestartBeforeTheFirstCheckHasItsHalfMinuteAnew() throws {
        let world = try World(seed: 1, .clean)
        world.client.isAlive = false
        let other = ICECredentials(ufrag: "other", password: "another-password-of-22-c")
        world.network.plan(at: 29 * seconds) { [server = world.server, network = world.network] in
            server.session.restart(local: other, remote: World.theirs, at: network.now)
        }
        world.network.run(until: 100 * seconds) { world.server.ending != nil }
        #expect(world.server.ending?.reason == .neverChecked && world.server.ending?.at == 59 * seconds)
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func aRebindingInMidTalkMovesThePathWithTheNextCheckAndNotBefore(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 20, duplication: 10, delayMs: 10...100))
        try #require(world.getUp(), "seed \(seed)")
        world.network.run(until: world.network.now + 2 * seconds)
        world.talk(for: 30 * seconds)
        let (before, after) = (world.client.address, VirtualAddress(2, 41_000))
        world.network.plan(at: world.network.now + 3 * seconds) { [client = world.client] in client.address = after }
        var tookBeforeMove = false
        world.network.run(until: world.network.now + 40 * seconds) {
            if world.server.session.selected == before, world.server.media.contains(after) { tookBeforeMove = true }
            return false
        }
        #expect(!tookBeforeMove, "seed \(seed): media of a path that was not proved was taken")
        #expect(world.server.paths == [before, after], "seed \(seed)")
        #expect(world.server.media.last == after && world.server.keys.count == 1, "seed \(seed)")
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func aRebindingOfAPeerThatNominatesOnceIsFollowedAfterSomeChecks(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 5, duplication: 10, delayMs: 10...100))
        world.client.nominatesOnce = true
        try #require(world.getUp(), "seed \(seed)")
        world.network.run(until: world.network.now + 2 * seconds)
        world.talk(for: 60 * seconds)
        let (before, after) = (world.client.address, VirtualAddress(2, 41_000))
        world.network.plan(at: world.network.now + 15 * seconds) { [client = world.client] in client.address = after }
        world.network.run(until: world.network.now + 15 * seconds)
        #expect(world.server.paths == [before], "seed \(seed)")
        world.network.run(until: world.network.now + 28 * seconds) { world.server.paths.count == 2 }
        #expect(world.server.paths == [before, after] && world.server.ending == nil, "seed \(seed)")
        world.network.run(until: world.network.now + 10 * seconds)
        #expect(world.server.media.last == after && world.server.keys.count == 1, "seed \(seed)")
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>) func aLostPathIsFoundAgainByTheNextCheck(seed: UInt64) throws {
        let world = try World(seed: seed, .clean)
        try #require(world.getUp(), "seed \(seed)")
        world.network.run(until: world.network.now + seconds)
        world.server.session.lose(world.client.address)
        #expect(world.server.session.selected == nil, "seed \(seed)")
        world.network.run(until: world.network.now + 7 * seconds) { world.server.session.selected != nil }
        #expect(world.server.session.selected == world.client.address && world.server.ending == nil, "seed \(seed)")
    }
}
