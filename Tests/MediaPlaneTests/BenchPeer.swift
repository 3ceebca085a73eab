import Crypto
import DTLS
import ICE
import Reactor
import STUN
import SecureRTP
import Talk
import Testing

@testable import MediaPlane

// A browser's side of a session on a bench's socket: ICE, DTLS, and the keys that come of them.
extension BenchSocket {
    private static let credentials = ICECredentials(ufrag: "abcd", password: "0123456789012345678901")

    /// What a browser with this certificate says in its join.
    /// - Parameter role: ours in the DTLS handshake.
    static func offer(_ fingerprint: DTLSFingerprint, _ role: DTLSSession.Role = .server) -> MediaDescription {
        var media = MediaDescription()
        media.webRTC = WebRTCOffer(credentials: credentials, fingerprint: fingerprint, role: role, leavesRole: role == .server)
        return media
    }

    /// A check by somebody who was told a latch, or guesses.
    static func check(_ latch: (username: String, password: String), nominates: Bool = true) -> [UInt8] {
        STUNMessage.request(
            transaction: (0..<12).map { _ in UInt8.random(in: 0 ... .max) }, username: "\(latch.username):\(credentials.ufrag)",
            password: latch.password, priority: 1, nominates: nominates, hmac: { Digests.hmacSHA1(key: $0, $1) })
    }

    /// Comes in by ICE and DTLS as a browser does, and gives how long it took; what is sent and heard from now on is protected.
    /// - Parameter meanwhile: done between the check and the handshake.
    func connect(_ media: MediaAnswer, to plane: MediaPlane, as identity: DTLSIdentity, meanwhile: () throws -> Void = {}) throws -> Int64 {
        let ours = plane.fingerprint.split(separator: " ").map(String.init)
        let dtls = try DTLSSession(identity, .client, fingerprint: try #require(DTLSFingerprint(hash: ours[0], value: ours[1])))
        let start = Clocks.monotonicNs()
        send(Self.check(media.latch), to: media.address)
        let answer = try #require(datagram())
        #expect(answer.prefix(2) == [1, 1])
        try meanwhile()
        _ = dtls.start(at: Clocks.monotonicNs())
        while Clocks.monotonicNs() - start < 10_000_000_000 {
            for datagram in dtls.takeOutgoing() { send(datagram, to: media.address) }
            guard let datagram = datagram() else { continue }
            guard case .connected(let keys) = datagram.withUnsafeBytes({ dtls.receive($0, at: Clocks.monotonicNs()) }) else { continue }
            for datagram in dtls.takeOutgoing() { send(datagram, to: media.address) }
            let suite = try #require(SRTPSuite(dtlsProfile: keys.profile))
            let pair = try keys.exported.withUnsafeBytes { try SRTPKey.pair(suite, dtlsExport: $0) }
            association = dtls
            (sender, receiver) = (try SRTPSender(pair.client), try SRTPReceiver(pair.server))
            return Clocks.monotonicNs() - start
        }
        throw Refusal(.unknown, "no handshake")
    }

    /// Says goodbye as a browser does.
    func leave(to address: SocketAddress) {
        association?.close()
        for datagram in association?.takeOutgoing() ?? [] { send(datagram, to: address) }
    }

    /// Sends RTCP as a browser does.
    func report(_ plain: [UInt8], to address: SocketAddress) throws {
        let sender = try #require(sender)
        var packet = plain + [UInt8](repeating: 0, count: sender.suite.rtcpOverhead)
        _ = try packet.withUnsafeMutableBytes { try sender.protectRTCP($0, count: plain.count) }
        send(packet, to: address)
    }
}
