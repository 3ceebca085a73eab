import CLinux
import Crypto
import DTLS
import Floor
import Glibc
import ICE
import Messages
import RTP
import Reactor
import Recorder
import Room
import STUN
import SecureRTP
import Synchronization
import Talk
import Telemetry
import Testing

@testable import MediaPlane

/// A media plane on loopback with real workers and sockets, a door and an output that remember what they are told, and no Kafka or Redis.
final class PlaneBench: Sendable {
    let plane: MediaPlane
    let metrics = Metrics()
    let door = BenchDoor()
    let output: BenchOutput

    init(workers: Int = 1, _ change: (inout MediaSettings) -> Void = { _ in }) throws {
        var settings = MediaSettings(listen: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
        settings.trustedNetworks = [try #require(SocketAddress.Network("127.0.0.0/8"))]
        settings.workers = workers
        settings.shareFrom = 1
        // On a busy machine a test may rest for long between two lines: nobody loses the floor for that.
        (settings.rules.floor.t1Ms, settings.rules.floor.t2Ms) = (600_000, 600_000)
        change(&settings)
        let mail = PlaneMail(workers: workers)
        output = BenchOutput(mail)
        plane = try MediaPlane(
            settings, mail: mail, output: output, rings: (0..<workers).map { _ in RecorderRing(capacityBytes: 1 << 16) }, metrics: metrics)
        plane.post(.ownership(Ownership(states: [.here]) { _ in 0 }))
    }

    /// Opens a room; the first is at home on worker 0, the next on the least loaded.
    func open(_ gid: GroupID, mode: RoomMode = .ptt) {
        plane.post(
            .signal(
                SignalRequest(gid: gid, dispatcher: 7, body: .create(name: "Test", mode: mode, options: GroupOptions())), epoch: 1
            ) { _ in })
    }

    /// Asks as a door does, and gives the answer.
    func ask(_ request: DoorRequest) async throws(Refusal) -> DoorAnswer { try await door.ask(request, plane).get() }

    /// Puts a request into its worker's mailbox, to wait for its answer later.
    func post(_ request: DoorRequest) -> UInt64 { door.post(request, plane) }

    func join(_ uid: UserID, in gid: GroupID, _ media: MediaDescription) async throws -> JoinedInfo {
        guard case .joined(let info) = try await ask(.join(gid, joining(uid), media)) else { throw Refusal(.unknown, "not joined") }
        return info
    }

    /// Joins without waiting for the answer, which the door keeps.
    func post(_ uid: UserID, in gid: GroupID, _ media: MediaDescription) {
        plane.post(.door(.join(gid, joining(uid), media), token: 0, door))
    }

    func joining(_ uid: UserID) -> Joining {
        var joining = Joining(uid: uid, display: "u\(uid)", endpoint: EndpointID(UInt64(uid.value)))
        joining.signalling = .json
        joining.events = EventInterest.none
        return joining
    }

    func floor(_ input: FloorInput, of uid: UserID, in gid: GroupID) async throws {
        _ = try await ask(.floor(gid, uid, EndpointID(UInt64(uid.value)), input))
    }

    /// How many datagrams were dropped for a reason (the metric's label).
    func dropped(_ reason: String) -> Int {
        Int(
            metrics.counter("media_datagrams_dropped_total", help: "Datagrams that went nowhere, by reason", labels: ["reason": reason])
                .value)
    }

    /// How many DTLS handshakes are under way.
    var handshakes: Int { Int(metrics.gauge("media_dtls_handshakes", help: "DTLS handshakes of WebRTC peers under way").value) }
}

/// Gives each answer to who asked for it.
final class BenchDoor: Door {
    private struct State: Sendable {
        var next: UInt64 = 1
        var waiting: [UInt64: Waiting] = [:]
        /// Answers that came before somebody waited for them.
        var early: [UInt64: Result<DoorAnswer, Refusal>] = [:]
        var announcements: [String] = []
        var offered: [(latch: (username: String, password: String), address: SocketAddress)] = []
    }
    private struct Waiting: Sendable {
        let continuation: CheckedContinuation<Result<DoorAnswer, Refusal>, Never>
    }
    private let state = Mutex(State())
    /// What is told of a user's peer.
    struct Link: Sendable, Equatable {
        let uid: UInt64
        let news: LinkNews
        init(_ uid: UInt64, _ news: LinkNews) { (self.uid, self.news) = (uid, news) }
    }
    /// In the order in which it was told.
    private let (links, told) = AsyncStream.makeStream(of: Link.self)

    /// The next of them, waited for.
    func nextLink() async -> Link? { await links.first { _ in true } }

    func ask(_ request: DoorRequest, _ plane: MediaPlane) async -> Result<DoorAnswer, Refusal> { await answer(to: post(request, plane)) }

    /// Puts a request into its worker's mailbox: it is there when this returns.
    func post(_ request: DoorRequest, _ plane: MediaPlane) -> UInt64 {
        let token = state.withLock { state in
            state.next += 1
            return state.next
        }
        plane.post(.door(request, token: token, self))
        return token
    }

    /// The answer to a posted request.
    func answer(to token: UInt64) async -> Result<DoorAnswer, Refusal> {
        await withCheckedContinuation { continuation in
            let early = state.withLock { state in
                let early = state.early.removeValue(forKey: token)
                if early == nil { state.waiting[token] = Waiting(continuation: continuation) }
                return early
            }
            if let early { continuation.resume(returning: early) }
        }
    }

    func deliver(_ event: DoorEvent) {
        switch event {
        case .answer(0, .success(.joined(let info))): state.withLock { $0.offered.append((info.media.latch, info.media.address)) }
        case .answer(0, _): break
        case .answer(let token, let result):
            let waiting = state.withLock { state in
                let waiting = state.waiting.removeValue(forKey: token)
                if waiting == nil { state.early[token] = result }
                return waiting
            }
            waiting?.continuation.resume(returning: result)
        case .link(let endpoint, let news): told.yield(Link(endpoint.value, news))
        case .notice(_, .announcement(let id, let isPlaying), _): state.withLock { $0.announcements.append((isPlaying ? "+" : "-") + id) }
        case .notice, .ended: break
        }
    }

    /// Of which files was told, in a row: `+` before one that begins, `-` before one that ends.
    var announcements: [String] { state.withLock { $0.announcements } }

    /// What those were told who joined without waiting.
    var offered: [(latch: (username: String, password: String), address: SocketAddress)] { state.withLock { $0.offered } }
}

/// Everybody is a member; a look-up can be made to hold its worker up.
final class BenchOutput: MediaPlaneOutput {
    private let mail: PlaneMail
    private let gate = Gate()

    init(_ mail: PlaneMail) { self.mail = mail }

    /// Whose look-up stops the worker that makes it until `release`.
    static let stopper = UserID(999)

    func release() { gate.open() }

    func lookUp(_ uid: UserID, in gid: GroupID, token: UInt64) {
        if uid == BenchOutput.stopper { gate.pass() }
        mail.post(.lookedUp(token: token, RoleAnswer(role: .member, isMember: true)))
    }
    func correctLater(_ uid: UserID, in gid: GroupID, generation: UInt64) {}
    func publish(_ news: RoomNews, of gid: GroupID, epoch: Int64, atMs: Int64) {}
    func publish(_ quality: QualityMessage) {}
    func persist(_ record: RoomRecord) {}
    func presence(_ uid: UserID, online: Bool) {}
    /// Waits until a worker stands at the gate.
    func waitUntilStopped() { gate.waitForSomebody() }
}

/// A gate that one thread stands at until another opens it.
private final class Gate: Sendable {
    private let (arrived, opened) = (eventfd(0, 0), eventfd(0, 0))

    deinit {
        close(arrived)
        close(opened)
    }

    func pass() {
        var one: UInt64 = 1
        write(arrived, &one, 8)
        read(opened, &one, 8)
    }
    func open() {
        var one: UInt64 = 1
        write(opened, &one, 8)
    }
    func waitForSomebody() {
        var one: UInt64 = 0
        read(arrived, &one, 8)
    }
}

/// A device's socket. Its reads wait for two seconds at most.
final class BenchSocket {
    private let descriptor: Int32
    let address: SocketAddress
    private var sequence: UInt16
    private var timestamp: UInt32 = 0
    var ssrc: UInt32
    var sender: SRTPSender?
    var receiver: SRTPReceiver?
    /// Once there are keys.
    var association: DTLSSession?

    /// - Parameters:
    ///   - ip: where it is bound, on loopback.
    ///   - twin: another socket, whose address this one takes, too: a forged source.
    init(ip: String = "127.0.0.1", ssrc: UInt32 = 1, sequence: UInt16 = 0, twin: BenchSocket? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        (self.ssrc, self.sequence) = (ssrc, sequence)
        var (yes, size) = (Int32(1), Int32(4 << 20))
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &yes, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        var wait = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        var storage = sockaddr_storage()
        let wanted = try #require(SocketAddress(ip: ip, port: twin?.address.port ?? 0))
        let fd = descriptor
        let code = withUnsafeMutableBytes(of: &storage) { raw -> Int32 in
            guard let base = raw.baseAddress else { return -1 }
            let length = wanted.write(to: base, family: AF_INET)
            return bind(fd, base.assumingMemoryBound(to: sockaddr.self), length)
        }
        try #require(code == 0, "bind: \(String(cString: strerror(errno)))")
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bound = withUnsafeMutableBytes(of: &storage) { raw -> SocketAddress? in
            guard let base = raw.baseAddress else { return nil }
            getsockname(fd, base.assumingMemoryBound(to: sockaddr.self), &length)
            return SocketAddress(base)
        }
        address = try #require(bound)
    }

    deinit { close(descriptor) }

    /// What a plain device says in its join.
    var media: MediaDescription {
        var media = MediaDescription()
        media.address = address
        return media
    }

    func send(_ datagram: [UInt8], to address: SocketAddress) {
        var storage = sockaddr_storage()
        let fd = descriptor
        withUnsafeMutableBytes(of: &storage) { raw in
            guard let base = raw.baseAddress else { return }
            let length = address.write(to: base, family: AF_INET)
            _ = sendto(fd, datagram, datagram.count, 0, base.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// The next packet, protected where there are keys.
    func packet(_ payload: [UInt8]) throws -> [UInt8] {
        sequence &+= 1
        timestamp &+= 960
        let plain = RTPHeader.bytes(marker: false, payloadType: 100, sequence: sequence, timestamp: timestamp, ssrc: ssrc) + payload
        guard let sender else { return plain }
        var room = plain + [UInt8](repeating: 0, count: sender.suite.tagBytes)
        _ = try room.withUnsafeMutableBytes { try sender.protect($0, count: plain.count) }
        return room
    }

    func talk(_ payload: [UInt8], to address: SocketAddress) throws { send(try packet(payload), to: address) }

    /// The next datagram as it came; nil after two seconds, or at once where nothing is there and `isPatient` is false.
    func datagram(isPatient: Bool = true) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 2_048)
        let count = recv(descriptor, &buffer, buffer.count, isPatient ? 0 : Int32(MSG_DONTWAIT))
        return count > 0 ? Array(buffer.prefix(count)) : nil
    }

    /// The next RTP packet that it hears, unprotected where there are keys; RTCP and STUN are passed over.
    func hear(isPatient: Bool = true) throws -> (header: RTPHeader, payload: [UInt8])? {
        while var bytes = datagram(isPatient: isPatient) {
            if bytes[0] < 4 || RTPHeader.isRTCP(bytes.span) { continue }
            if let receiver {
                let size = try bytes.withUnsafeMutableBytes { try receiver.unprotect($0) }
                bytes = Array(bytes.prefix(size))
            }
            guard let header = RTPHeader(bytes.span) else { throw Refusal(.unknown, "what was heard is no RTP") }
            return (header, Array(bytes[header.payloadOffset..<header.payloadOffset + header.payloadSize]))
        }
        return nil
    }
}

func group(_ value: Int64) throws -> GroupID { try #require(GroupID(value)) }
func user(_ value: Int64) throws -> UserID { try #require(UserID(value)) }
