import Foundation
import Testing

@testable import DTLS

/// Two sessions, and a network between them that loses what the seed says.
private final class Pair {
    let server: DTLSSession
    let client: DTLSSession
    var events: [DTLSSession.Role: [DTLSSession.Event]] = [.server: [], .client: []]
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
                note(datagram.withUnsafeBytes { server.receive($0) }, of: .server)
            }
            for datagram in fromServer where Int.random(in: 0..<100, using: &random) >= loss {
                #expect(datagram.count <= DatagramQueue.mtu)
                note(datagram.withUnsafeBytes { client.receive($0) }, of: .client)
            }
        }
    }

    /// Runs the handshake; what was lost goes again when OpenSSL's time is up.
    func run(retransmissions: Int = 40) {
        note(client.start(), of: .client)
        settle()
        for _ in 0..<retransmissions where events[.server]?.isEmpty == true || events[.client]?.isEmpty == true {
            let left = min(client.timeLeftNs ?? .max, server.timeLeftNs ?? .max)
            guard left != .max else { return }
            // OpenSSL's own clock must pass; it can't be turned.
            Thread.sleep(forTimeInterval: Double(left) / 1e9 + 0.001)
            if client.timeLeftNs == 0 { note(client.retransmit(), of: .client) }
            if server.timeLeftNs == 0 { note(server.retransmit(), of: .server) }
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

@Suite struct DTLSSessionTests {
    @Test func bothSidesGetTheSameKeys() throws {
        let pair = try Pair()
        pair.run()
        let (server, client) = (try #require(pair.keys(.server)), try #require(pair.keys(.client)))
        #expect(server.exported == client.exported)
        #expect(server.profile == 7 && server.exported.count == 56, "AEAD_AES_128_GCM is preferred")
        #expect(!server.isClient && client.isClient)
        #expect(pair.server.timeLeftNs == nil && pair.client.timeLeftNs == nil)
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

    @Test func goodbyeIsHeard() throws {
        let pair = try Pair()
        pair.run()
        pair.client.close()
        pair.settle()
        #expect(pair.events[.server]?.last == .closed)
    }

    @Test func garbageChangesNothing() throws {
        let pair = try Pair()
        pair.note(pair.client.start(), of: .client)
        let hello = pair.client.takeOutgoing()
        var random = SplitMix(state: 3)
        for _ in 0..<3_000 {
            var bytes = try #require(hello.first)
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0 ... .max, using: &random) }
            let junk = Bool.random(using: &random) ? bytes : Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            let other = try DTLSSession(try Self.identity.get(), .server, fingerprint: try Self.identity.get().fingerprint)
            for _ in 0..<2 { _ = junk.withUnsafeBytes { other.receive($0) } }
        }
    }
    private static let identity = Result { try DTLSIdentity() }

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func lossIsMadeGood(seed: UInt64) throws {
        let pair = try Pair(seed: seed, loss: 20)
        pair.run()
        #expect(pair.keys(.server) != nil && pair.keys(.server)?.exported == pair.keys(.client)?.exported)
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
