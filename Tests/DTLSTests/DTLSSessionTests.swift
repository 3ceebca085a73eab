import TestTraits
import Testing

@testable import DTLS

/// Two sessions, and a network between them that loses what the seed says.
private final class Pair {
    let server: DTLSSession
    let client: DTLSSession
    var events: [DTLSSession.Role: [DTLSSession.Event]] = [.server: [], .client: []]
    private(set) var now: Int64 = 0
    private var random: SplitMix
    private let loss: Int

    init(seed: UInt64 = 1, loss: Int = 0, serverExpects: DTLSFingerprint? = nil) throws {
        let (ours, theirs) = (try DTLSIdentity(), try DTLSIdentity())
        server = try DTLSSession(ours, .server, fingerprint: serverExpects ?? theirs.fingerprint)
        client = try DTLSSession(theirs, .client, fingerprint: ours.fingerprint)
        (random, self.loss) = (SplitMix(state: seed), loss)
    }

    func note(_ event: DTLSSession.Event, of role: DTLSSession.Role) { if event != .none { events[role]?.append(event) } }

    /// Carries datagrams until nothing is on its way.
    func settle() {
        while true {
            let (fromClient, fromServer) = (client.takeOutgoing(), server.takeOutgoing())
            if fromClient.isEmpty, fromServer.isEmpty { return }
            for datagram in fromClient where Int.random(in: 0..<100, using: &random) >= loss {
                #expect(datagram.count <= DatagramQueue.mtu)
                note(datagram.withUnsafeBytes { server.receive($0, at: now) }, of: .server)
            }
            for datagram in fromServer where Int.random(in: 0..<100, using: &random) >= loss {
                #expect(datagram.count <= DatagramQueue.mtu)
                note(datagram.withUnsafeBytes { client.receive($0, at: now) }, of: .client)
            }
        }
    }

    /// Runs the handshake; what was lost goes again when the time is up, which is a matter of turning the clock.
    func run(retransmissions: Int = 40) {
        note(client.start(at: now), of: .client)
        settle()
        for _ in 0..<retransmissions where events[.server]?.isEmpty == true || events[.client]?.isEmpty == true {
            guard let deadline = [client.deadline, server.deadline].compactMap({ $0 }).min() else { return }
            now = deadline
            note(client.tick(at: now), of: .client)
            note(server.tick(at: now), of: .server)
            settle()
        }
    }

    func keys(_ role: DTLSSession.Role) -> DTLSKeys? {
        guard case .connected(let keys) = events[role]?.first else { return nil }
        return keys
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

@Suite(.oneAtATime) struct DTLSSessionTests {
    @Test func bothSidesGetTheSameKeys() throws {
        let pair = try Pair()
        pair.run()
        let (server, client) = (try #require(pair.keys(.server)), try #require(pair.keys(.client)))
        #expect(server.exported == client.exported)
        #expect(server.profile == 7 && server.exported.count == 56, "AEAD_AES_128_GCM is preferred")
        #expect(!server.isClient && client.isClient)
        #expect(pair.server.deadline == nil && pair.client.deadline == nil)
    }

    @Test func anotherCertificateIsRefused() throws {
        let pair = try Pair(serverExpects: try DTLSIdentity().fingerprint)
        pair.run(retransmissions: 0)
        guard case .failed(let words) = pair.events[.server]?.first else {
            Issue.record("it was not refused")
            return
        }
        #expect(words.contains("fingerprint") && pair.keys(.server) == nil)
    }

    @Test(arguments: [DTLSSession.Role.client, .server]) func goodbyeIsHeard(role: DTLSSession.Role) throws {
        let pair = try Pair()
        pair.run()
        (role == .client ? pair.client : pair.server).close()
        pair.settle()
        #expect(pair.events[role == .client ? .server : .client]?.last == .closed)
    }

    /// The client sends its last flight until it has the server's. OpenSSL's session is gone by then.
    @Test func theLastFlightGoesAgain() throws {
        let pair = try Pair()
        pair.note(pair.client.start(at: 0), of: .client)
        var lost: [[UInt8]] = []
        for _ in 0..<10 where pair.keys(.server) == nil {
            for datagram in pair.client.takeOutgoing() {
                pair.note(datagram.withUnsafeBytes { pair.server.receive($0, at: 0) }, of: .server)
            }
            lost = pair.server.takeOutgoing()
            for datagram in lost where pair.keys(.server) == nil {
                pair.note(datagram.withUnsafeBytes { pair.client.receive($0, at: 0) }, of: .client)
            }
        }
        #expect(!lost.isEmpty && pair.keys(.client) == nil)
        let deadline = try #require(pair.client.deadline)
        #expect(pair.client.tick(at: deadline) == .none)
        let again = pair.client.takeOutgoing()
        for _ in 0..<2 {
            for datagram in again { #expect(datagram.withUnsafeBytes { pair.server.receive($0, at: deadline) } == .none) }
        }
        let answer = pair.server.takeOutgoing()
        #expect(answer == lost, "once: what is repeated is not from the peer")
        for datagram in answer { pair.note(datagram.withUnsafeBytes { pair.client.receive($0, at: deadline) }, of: .client) }
        #expect(pair.keys(.client)?.exported == pair.keys(.server)?.exported)
    }

    /// A goodbye that is changed, cut or of another session moves nothing; nor does any other record.
    @Test func afterTheHandshakeForgeriesChangeNothing() throws {
        let (pair, other) = (try Pair(), try Pair())
        for one in [pair, other] { one.run() }
        for one in [pair, other] { one.client.close() }
        let (goodbye, foreign) = (try #require(pair.client.takeOutgoing().first), try #require(other.client.takeOutgoing().first))
        var forged = [foreign]
        for index in goodbye.indices {
            forged.append(Array(goodbye[..<index]))
            forged.append(goodbye)
            forged[forged.count - 1][index] ^= 0x10
        }
        for datagram in forged { #expect(datagram.withUnsafeBytes { pair.server.receive($0, at: 1) } == .none, "\(datagram)") }
        #expect(pair.server.takeOutgoing().isEmpty)
        #expect((forged[1] + goodbye).withUnsafeBytes { pair.server.receive($0, at: 1) } == .closed)
    }

    @Test func garbageChangesNothing() throws {
        let pair = try Pair()
        pair.note(pair.client.start(at: 0), of: .client)
        let hello = pair.client.takeOutgoing()
        var random = SplitMix(state: 3)
        for _ in 0..<3_000 {
            var bytes = try #require(hello.first)
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0 ... .max, using: &random) }
            let junk = Bool.random(using: &random) ? bytes : Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            let other = try DTLSSession(try Self.identity.get(), .server, fingerprint: try Self.identity.get().fingerprint)
            for _ in 0..<2 { _ = junk.withUnsafeBytes { other.receive($0, at: 0) } }
        }
    }
    private static let identity = Result { try DTLSIdentity() }

    @Test(arguments: 1...60 as ClosedRange<UInt64>) func lossIsMadeGood(seed: UInt64) throws {
        let pair = try Pair(seed: seed, loss: 20)
        pair.run()
        #expect(pair.keys(.server) != nil && pair.keys(.server)?.exported == pair.keys(.client)?.exported)
    }

    /// OpenSSL looks at no other clock than the one it is told, however the wall clock stands.
    @Test func retransmissionsFollowTheCallersClock() throws {
        let identity = try DTLSIdentity()
        let client = try DTLSSession(identity, .client, fingerprint: identity.fingerprint)
        _ = client.start(at: 5_000_000_000)
        #expect(client.takeOutgoing().count == 1)
        var (now, waits): (Int64, [Int64]) = (5_000_000_000, [])
        for _ in 0..<6 {
            let deadline = try #require(client.deadline)
            _ = client.tick(at: deadline - 16_000_000)
            #expect(client.takeOutgoing().isEmpty, "before its time nothing goes")
            #expect(client.tick(at: deadline) == .none && client.takeOutgoing().count == 1)
            waits.append((deadline - now) / 1_000_000)
            now = deadline
        }
        #expect(waits == [200, 400, 800, 1_600, 2_000, 2_000])
    }

    @Test func whoNeverAnswersIsGivenUp() throws {
        let identity = try DTLSIdentity()
        let client = try DTLSSession(identity, .client, fingerprint: identity.fingerprint)
        _ = client.start(at: 0)
        var event = DTLSSession.Event.none
        while let deadline = client.deadline, deadline < 60_000_000_000 { event = client.tick(at: deadline) }
        guard case .failed(let reason) = event else {
            Issue.record("it was not given up")
            return
        }
        #expect(reason.contains("no answer") && client.deadline == nil)
    }

    @Test func fingerprintsAreReadAndWritten() throws {
        let print = try DTLSIdentity().fingerprint
        let parts = print.description.split(separator: " ").map(String.init)
        #expect(DTLSFingerprint(hash: parts[0].uppercased(), value: parts[1].lowercased()) == print)
        #expect(DTLSFingerprint(hash: "md5", value: parts[1]) == nil)
        #expect(DTLSFingerprint(hash: "sha-256", value: "AA:BB") == nil)
        #expect(DTLSFingerprint(hash: "sha-256", value: parts[1] + ":") == nil)
    }
}
