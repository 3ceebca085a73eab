import DTLS
import Glibc
import Reactor
import Recorder
import Room
import Talk
import Telemetry

/// How the media plane listens and limits.
public struct MediaSettings: Sendable {
    /// Where the first worker's UDP port is bound, and its TCP port with the same number; the others take the ports behind it, or any where
    /// this one is 0.
    public var listen: SocketAddress
    /// How many workers there are, each with a thread and a UDP port of its own; 1…64.
    public var workers = MediaSettings.processors
    /// From how many participants of a room on its home worker on others take their part.
    public var shareFrom = 2_000
    /// The address that devices are told; nil: the bound one.
    public var announcedIP: String?
    /// Whether WebRTC peers may come over TCP.
    public var tcp = true
    /// SO_RCVBUF and SO_SNDBUF, bytes.
    public var socketBufferBytes = 4 << 20
    /// Packets per second that a participant may send.
    public var packetsPerSecond = 120
    /// And at once.
    public var packetBurst = 50
    /// Where media may be sent before anything came from there.
    public var trustedNetworks: [SocketAddress.Network] = []
    /// What rooms obey.
    public var rules = RoomRules()
    /// How long a join waits for its room to be restored, ms.
    public var joinWaitMs = 2_000
    /// Listeners' quality reports, at most so many per second.
    public var qualityMaxPerSecond = 100
    /// The processors that this process may use; 1…64.
    public static var processors: Int { min(64, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))) }
    /// Settings for an address.
    public init(listen: SocketAddress) { self.listen = listen }
}

/// The media workers as their owner sees them: mailboxes, and threads behind them, each of which owns a UDP port and the rooms at home there.
///
/// All that is decided about a room is decided on its home's thread; nothing of it is shared.
public final class MediaPlane: Sendable {
    /// Where devices send their media, by worker.
    public let addresses: [SocketAddress]
    /// Whether each of them takes WebRTC peers over TCP too.
    public let isOnTCP: Bool
    /// Our certificate's, as in an SDP: `sha-256 AA:BB:…`.
    public let fingerprint: String
    /// The way in.
    public let mail: PlaneMail
    private let threads: [ServiceThread]
    private let desk: HandshakeDesk
    private let deskThread: ServiceThread

    /// Binds the ports and starts the workers.
    /// - Parameter rings: the recorder's, one for each worker.
    /// - Throws: `SocketError` where a port can't be had.
    public init(_ settings: MediaSettings, mail: PlaneMail, output: any MediaPlaneOutput, rings: [RecorderRing], metrics: Metrics) throws {
        precondition(rings.count == mail.mailboxes.count, "a recorder's ring for each worker")
        let counters = PlaneCounters(metrics)
        var outlets: [Outlet] = []
        var addresses: [SocketAddress] = []
        for index in 0..<mail.mailboxes.count {
            let outlet = try Self.outlet(settings, settings.listen.withPort(behind: index), counters)
            guard let address = SocketAddress(ip: settings.announcedIP ?? settings.listen.ip, port: outlet.socket.port) else {
                throw SocketError("media.announced_ip \(settings.announcedIP ?? "") is not an IP address")
            }
            outlets.append(outlet)
            addresses.append(address)
        }
        let identity = try DTLSIdentity()
        fingerprint = identity.fingerprint.description
        isOnTCP = settings.tcp
        let desk = HandshakeDesk(
            identity, senders: outlets.map(\.socket.sender), workers: mail.mailboxes, underWay: counters.handshakes)
        let links = BranchRings(workers: outlets.count)
        self.addresses = addresses
        self.mail = mail
        let (known, own) = (addresses, OwnAddresses(addresses, bound: settings.listen))
        self.desk = desk
        threads = outlets.enumerated().map { index, outlet in
            let parts = WorkerParts(
                index: index, outlet: outlet, desk: desk, settings: settings, addresses: known, own: own, mail: mail, links: links,
                output: output, ring: rings[index], counters: counters)
            return ServiceThread(name: "media-\(index)", .realTime(1)) { MediaWorker(parts).run() }
        }
        deskThread = ServiceThread(name: "handshakes") { desk.run() }
    }

    /// A worker's ports. Where the kernel gives the number, TCP may not have it free: then another is tried.
    private static func outlet(_ settings: MediaSettings, _ address: SocketAddress, _ counters: PlaneCounters) throws -> Outlet {
        for attempt in 1... {
            let socket = try UDPSocket(address, bufferBytes: settings.socketBufferBytes)
            let arena = try SecureFanOut.Arena()
            guard settings.tcp else { return Outlet(socket: socket, arena: arena, streams: nil) }
            do throws(SocketError) {
                let streams = try StreamPort(address.withNumber(socket.port)) { counters.backlogFull.increment() }
                return Outlet(socket: socket, arena: arena, streams: streams)
            } catch {
                guard address.port == 0, error.isInUse, attempt < 16 else {
                    throw SocketError("\(error) (media.tcp: false does without)")
                }
            }
        }
        throw SocketError("UDP and TCP \(address): no port is free for both")
    }

    /// Hands an input to its worker; what is posted for one group is taken in order.
    public func post(_ input: PlaneInput) { mail.post(input) }

    /// Ends open bursts, stops the workers and waits for them. Blocks.
    public func stop() {
        // First: it sends on the workers' sockets.
        desk.stop()
        deskThread.join()
        for mailbox in mail.mailboxes { mailbox.post(.stop, must: true) }
        for thread in threads { thread.join() }
    }
}

/// What a worker's thread takes over when it starts.
/// `@unchecked`: the sockets and the arena are made here and used on that thread only.
struct WorkerParts: @unchecked Sendable {
    let index: Int
    let outlet: Outlet
    let desk: HandshakeDesk
    let settings: MediaSettings
    let addresses: [SocketAddress]
    let own: OwnAddresses
    let mail: PlaneMail
    let links: BranchRings
    let output: any MediaPlaneOutput
    let ring: RecorderRing
    let counters: PlaneCounters
}

/// What the media plane tells `/metrics`.
struct PlaneCounters: Sendable {
    let received: Counter
    let sent: Counter
    let refused: Counter
    let garbage: Counter
    let unknownSource: Counter
    let overRate: Counter
    let withoutFloor: Counter
    let forged: Counter
    let late: Counter
    let behind: Counter
    let backlogFull: Counter
    let recorderFull: Counter
    let handshakes: Gauge
    let rooms: Gauge
    let participants: Gauge

    init(_ metrics: Metrics) {
        func dropped(_ reason: String) -> Counter {
            metrics.counter("media_datagrams_dropped_total", help: "Datagrams that went nowhere, by reason", labels: ["reason": reason])
        }
        received = metrics.counter("media_datagrams_received_total", help: "Datagrams that came to the media ports")
        sent = metrics.counter("media_packets_sent_total", help: "RTP packets handed to the kernel for listeners")
        refused = metrics.counter("media_packets_refused_total", help: "RTP packets for listeners that the kernel did not take")
        garbage = dropped("malformed")
        unknownSource = dropped("unknown_source")
        overRate = dropped("over_rate")
        withoutFloor = dropped("without_floor")
        forged = dropped("not_authentic")
        late = dropped("late")
        behind = dropped("worker_behind")
        backlogFull = metrics.counter(
            "media_tcp_frames_dropped_total", help: "Datagrams for peers on TCP that were dropped, the oldest first: the peer is too slow")
        recorderFull = metrics.counter("media_recorder_full_total", help: "Packets that were forwarded but not recorded: the ring was full")
        handshakes = metrics.gauge("media_dtls_handshakes", help: "DTLS handshakes of WebRTC peers under way")
        rooms = metrics.gauge("media_rooms", help: "Rooms on this node")
        participants = metrics.gauge("media_participants", help: "Participants on this node")
    }
}
