import DTLS
import ICE
import PeerSession
import STUN
import Support
import TestTraits
import Testing

/// Who is not what the signalling said, or not there at all, gets nothing; each failure names its seed.
@Suite(.oneAtATime) struct HostileNetworkTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func whoDoesNotKnowThePasswordIsNeverHeard(seed: UInt64) throws {
        let world = try World(seed: seed, .bad, lie: .password)
        world.network.run(until: 60 * seconds) { world.server.ending != nil }
        #expect(world.server.ending?.reason == .neverChecked && world.server.ending?.at == 30 * seconds, "seed \(seed)")
        #expect(world.server.paths.isEmpty && world.server.keys.isEmpty, "seed \(seed)")
        #expect(Set(world.client.errors) == [401], "seed \(seed): \(world.client.errors)")
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>, [DTLSSession.Role.server, .client])
    func aCertificateThatWasNotToldIsRefused(seed: UInt64, role: DTLSSession.Role) throws {
        let world = try World(seed: seed, .bad, ourRole: role, lie: .clientCertificate)
        world.network.run(until: 60 * seconds) { world.server.ending != nil }
        guard case .refused(let reason) = world.server.ending?.reason else {
            Issue.record("seed \(seed): \(world.server.ending.map { "\($0)" } ?? "not refused")")
            return
        }
        #expect(reason.contains("fingerprint") && world.server.keys.isEmpty, "seed \(seed): \(reason)")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>, [DTLSSession.Role.server, .client])
    func aPeerThatExpectsAnotherCertificateGetsNoKeys(seed: UInt64, role: DTLSSession.Role) throws {
        let world = try World(seed: seed, .clean, ourRole: role, lie: .serverCertificate)
        world.network.run(until: 5 * seconds)
        #expect(world.client.keys == nil, "seed \(seed)")
        guard case .failed(let reason) = world.client.event else {
            Issue.record("seed \(seed): \(world.client.event)")
            return
        }
        #expect(reason.contains("fingerprint"), "seed \(seed): \(reason)")
    }

    /// Somebody who knows all addresses and names, but no password, sends from everywhere while two talk.
    @Test(arguments: 1...40 as ClosedRange<UInt64>) func spoofedDatagramsMoveNothing(seed: UInt64) throws {
        let world = try World(seed: seed, NetworkConditions(loss: 10, duplication: 5, delayMs: 10...80))
        var random = SeededRandom(seed ^ 0xBAD)
        let stranger = VirtualAddress(9, 666)
        func attack() {
            let from = random.chance(50) ? stranger : world.client.address
            var forged = STUNMessage.request(
                transaction: (0..<12).map { _ in UInt8.random(in: 0 ... .max, using: &random) }, username: "ours:theirs",
                password: "a-guess-of-some-22-characters", priority: 1, nominates: true, hmac: hmac)
            switch random.next() % 5 {
            case 0: break
            // A check that was heard, with other content.
            case 1 where world.client.lastCheck.count > 40:
                forged = world.client.lastCheck
                forged[Int.random(in: 20..<forged.count, using: &random)] ^= 0x10
            // A new association's beginning, and a goodbye in the clear.
            case 2: forged = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1]
            case 3: forged = [21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 99, 0, 2, 1, 0]
            default: forged = [0x80, 100, 0, 1] + [UInt8](repeating: 3, count: 40)
            }
            // Media with the peer's own address is for SRTP to refuse.
            if forged[0] == 0x80 {
                world.network.send(forged, from: stranger, to: world.server.address)
            } else {
                world.network.send(forged, from: from, to: world.server.address)
            }
        }
        try #require(world.getUp(), "seed \(seed)")
        let start = world.network.now
        for time in stride(from: start, to: start + 20 * seconds, by: 37_000_000) { world.network.plan(at: time) { attack() } }
        world.talk(for: 20 * seconds)
        world.network.run(until: start + 25 * seconds)
        #expect(world.server.paths == [world.client.address], "seed \(seed)")
        #expect(!world.server.media.contains(stranger) && world.server.media.count > 800, "seed \(seed)")
        #expect(world.server.ending == nil && world.server.keys.count == 1, "seed \(seed)")
    }

    /// The same before there is a path: nothing of a handshake begins.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func withoutAValidCheckThereIsNoHandshake(seed: UInt64) throws {
        let world = try World(seed: seed, .clean)
        world.client.isAlive = false
        var random = SeededRandom(seed)
        for index in 0..<500 {
            let first = [UInt8](arrayLiteral: 0, 1, 20, 22, 23, 63, 128, 191, 64, 255)[Int(random.next() % 10)]
            let junk = [first] + (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
            world.server.receive(junk, from: VirtualAddress(9, UInt16(index)), at: Int64(index) * 1_000_000)
        }
        world.server.receive([], from: VirtualAddress(9, 1), at: seconds)
        #expect(world.server.paths.isEmpty && world.server.media.isEmpty && world.server.keys.isEmpty, "seed \(seed)")
        #expect(world.server.session.deadline == 30 * seconds, "seed \(seed)")
    }
}
