import Crypto
import DTLS
import ICE
import PeerSession
import STUN
import Support

func hmac(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] { Digests.hmacSHA1(key: key, text) }

let seconds: Int64 = 1_000_000_000

/// Our side: a session and its handshake, and what they said.
final class ServerEnd: VirtualNode {
    let address = VirtualAddress(1, 10_000)
    let session: PeerSession<VirtualAddress>
    private let identity: DTLSIdentity
    private let network: VirtualNetwork
    private var handshake: PeerHandshake<VirtualAddress>?
    private(set) var paths: [VirtualAddress] = []
    private(set) var keys: [DTLSKeys] = []
    private(set) var ending: (reason: PeerEnding, at: Int64)?
    /// Where media came from that was taken.
    private(set) var media: [VirtualAddress] = []
    private(set) var provedAt: Int64 = 0

    init(_ session: PeerSession<VirtualAddress>, _ identity: DTLSIdentity, _ network: VirtualNetwork) {
        (self.session, self.identity, self.network) = (session, identity, network)
    }

    var deadline: Int64? { [session.deadline, handshake?.deadline].compactMap { $0 }.min() }
    func tick(at now: Int64) {
        perform(session.tick(at: now), from: address, now)
        settle(handshake?.tick(at: now), now)
    }
    func receive(_ datagram: [UInt8], from source: VirtualAddress, at now: Int64) {
        perform(datagram.withUnsafeBytes { session.receive($0, from: source, at: now) }, from: source, now)
    }

    func perform(_ events: [PeerEvent<VirtualAddress>], from source: VirtualAddress, _ now: Int64) {
        for event in events {
            switch event {
            case .send(let datagram, let target): network.send(datagram, from: address, to: target)
            case .proved: provedAt = now
            case .left: break
            case .selected(let path): paths.append(path)
            case .handshake(let step): perform(step, now)
            case .keys(let keys): self.keys.append(keys)
            case .media:
                media.append(source)
                perform(session.heard(from: source, at: now), from: source, now)
            case .over(let reason):
                ending = ending ?? (reason, now)
                handshake = nil
            }
        }
    }

    private func perform(_ step: HandshakeStep<VirtualAddress>, _ now: Int64) {
        switch step {
        case .begin(let path):
            do throws(DTLSError) {
                handshake = try PeerHandshake(identity, session.role, fingerprint: session.fingerprint, on: path, at: now)
                settle(handshake?.start(at: now), now)
            } catch {
                settle(.refused(error.description), now)
            }
        case .path(let path): handshake?.move(to: path)
        case .datagram(let datagram, let path):
            handshake?.move(to: path)
            settle(handshake.flatMap { one in datagram.withUnsafeBytes { one.receive($0, at: now) } }, now)
        }
    }

    private func settle(_ end: HandshakeEnd?, _ now: Int64) {
        if let handshake { for datagram in handshake.takeOutgoing() { network.send(datagram, from: address, to: handshake.path) } }
        guard let end else { return }
        handshake = nil
        perform(session.finish(end), from: address, now)
    }

    /// What somebody else says, to who hears.
    func talk() {
        if let path = session.selected { network.send([0x80, 100, 0, 1] + [UInt8](repeating: 7, count: 60), from: address, to: path) }
    }
}

/// The peer: a full agent that controls (RFC 8445), over one path. It checks until it is answered, nominates, and then asks for consent.
final class ClientEnd: VirtualNode {
    /// Changes when a NAT forgets it.
    var address = VirtualAddress(2, 40_000)
    /// As the signalling told them.
    var local: ICECredentials
    var remote: ICECredentials
    /// Its checks and its media go on.
    var isAlive = true
    let dtls: DTLSSession
    private let server: VirtualAddress
    private let network: VirtualNetwork
    private var random: SeededRandom
    private let isDTLSClient: Bool
    private var checkAt: Int64 = 0
    private var waitMs: Int64 = 100
    private var transactions: Set<[UInt8]> = []
    private(set) var isConnected = false
    /// Some say with each check that they use this path (libwebrtc), others only once (aioice).
    var nominatesOnce = false
    private var hasNominated = false
    private(set) var event = DTLSSession.Event.none
    private(set) var keys: DTLSKeys?
    private(set) var heard = 0
    private(set) var errors: [Int] = []
    /// The checks that it sent, for who listens on the line.
    private(set) var lastCheck: [UInt8] = []

    init(
        _ dtls: DTLSSession, _ role: DTLSSession.Role, local: ICECredentials, remote: ICECredentials, seed: UInt64, server: VirtualAddress,
        _ network: VirtualNetwork
    ) {
        (self.dtls, self.local, self.remote, self.server, self.network) = (dtls, local, remote, server, network)
        (random, isDTLSClient) = (SeededRandom(seed ^ 0xC11E), role == .client)
    }

    var deadline: Int64? { isAlive ? min(checkAt, dtls.deadline ?? .max) : nil }

    func tick(at now: Int64) {
        if checkAt <= now { check(at: now) }
        note(dtls.tick(at: now))
    }

    /// Sends a check; the next one follows soon until there is an answer, then as consent asks (RFC 7675 §5.1: every 5 s, a fifth more or less).
    func check(at now: Int64) {
        let transaction = (0..<12).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
        transactions.insert(transaction)
        lastCheck = STUNMessage.request(
            transaction: transaction, username: "\(remote.ufrag):\(local.ufrag)", password: remote.password, priority: 1_853_817_087,
            nominates: isConnected && !(nominatesOnce && hasNominated), hmac: hmac)
        hasNominated = isConnected
        network.send(lastCheck, from: address, to: server)
        if isConnected {
            checkAt = now + Int64.random(in: 4_000...6_000, using: &random) * 1_000_000
        } else {
            checkAt = now + waitMs * 1_000_000
            waitMs = min(waitMs * 2, 800)
        }
    }

    func receive(_ datagram: [UInt8], from source: VirtualAddress, at now: Int64) {
        guard isAlive, source == server, let first = datagram.first else { return }
        if let message = STUNMessage(datagram.span) {
            answered(message, now)
        } else if DTLSSession.isDTLS(first) {
            note(datagram.withUnsafeBytes { dtls.receive($0, at: now) })
        } else if first >= 128 {
            heard += 1
        }
    }

    private func answered(_ message: STUNMessage, _ now: Int64) {
        guard transactions.remove(message.transaction) != nil else { return }
        if message.kind == .bindingError { errors.append(message.errorCode ?? 0) }
        guard message.kind == .bindingSuccess, message.isAuthentic(password: remote.password, hmac: hmac) else { return }
        guard !isConnected else { return }
        isConnected = true
        check(at: now)
        if isDTLSClient { note(dtls.start(at: now)) }
    }

    /// The signalling told other credentials: checks begin anew.
    func restart(local: ICECredentials, remote: ICECredentials, at now: Int64) {
        (self.local, self.remote) = (local, remote)
        check(at: now)
    }

    func talk() { network.send([0x80, 100, 0, 1] + [UInt8](repeating: 9, count: 60), from: address, to: server) }

    func leave() {
        dtls.close()
        flush()
        isAlive = false
    }

    private func note(_ event: DTLSSession.Event) {
        flush()
        guard event != .none else { return }
        self.event = event
        if case .connected(let keys) = event { self.keys = keys }
    }

    private func flush() { for datagram in dtls.takeOutgoing() { network.send(datagram, from: address, to: server) } }
}

/// A peer and our session on one network.
struct World {
    static let ours = ICECredentials(ufrag: "ours", password: "our-password-of-22-chars")
    static let theirs = ICECredentials(ufrag: "theirs", password: "their-password-of-22-char")
    private static let identities = Result { (server: try DTLSIdentity(), client: try DTLSIdentity(), stranger: try DTLSIdentity()) }

    /// What is not as the signalling said.
    enum Lie { case none, password, clientCertificate, serverCertificate }

    let network: VirtualNetwork
    let server: ServerEnd
    let client: ClientEnd

    init(seed: UInt64, _ conditions: NetworkConditions, ourRole: DTLSSession.Role = .server, lie: Lie = .none) throws {
        let identities = try Self.identities.get()
        network = VirtualNetwork(seed: seed, conditions)
        let theirRole: DTLSSession.Role = ourRole == .server ? .client : .server
        let session = PeerSession<VirtualAddress>(
            ourRole, fingerprint: identities.client.fingerprint, local: Self.ours, remote: Self.theirs, at: 0)
        server = ServerEnd(session, identities.server, network)
        let shown = lie == .clientCertificate ? identities.stranger : identities.client
        let expected = lie == .serverCertificate ? identities.stranger.fingerprint : identities.server.fingerprint
        var told = Self.ours
        if lie == .password { told.password = "not-our-password-of-22-ch" }
        client = ClientEnd(
            try DTLSSession(shown, theirRole, fingerprint: expected), theirRole, local: Self.theirs, remote: told, seed: seed,
            server: server.address, network)
        network.join(server)
        network.join(client)
    }

    var isUp: Bool { !server.keys.isEmpty && client.keys != nil }

    /// Lets the two get up.
    @discardableResult func getUp(within limit: Int64 = 20 * seconds) -> Bool { network.run(until: network.now + limit) { isUp } }

    /// Somebody talks each way, every 20 ms, for so long.
    func talk(for duration: Int64) {
        let start = network.now
        for time in stride(from: start, to: start + duration, by: 20_000_000) {
            network.plan(at: time) { [server, client] in
                server.talk()
                client.talk()
            }
        }
    }
}
