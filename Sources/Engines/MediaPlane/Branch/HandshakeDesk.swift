import DTLS
import Glibc
import PeerSession
import Reactor
import Telemetry

/// Does the DTLS handshakes of all workers' peers, on a thread of its own: each takes some tenths of a millisecond, for which no packet waits.
/// What comes within two milliseconds is taken together, so that a crowd of peers costs little more than OpenSSL does.
final class HandshakeDesk: Sendable {
    /// A handshake, by the worker whose peer it is, and that worker's number for it.
    struct Key: Sendable, Hashable {
        var worker: Int
        var number: UInt64
    }
    private enum Message: Sendable {
        case begin(Key, DTLSSession.Role, DTLSFingerprint, SocketAddress)
        case step(Key, HandshakeStep<SocketAddress>)
        case forget(Key)
        case stop
    }

    private let mailbox = Mailbox<Message>(capacity: 1 << 16)
    private let identity: DTLSIdentity
    /// The workers' UDP ports and mailboxes.
    private let senders: [DatagramSender]
    private let workers: [Mailbox<WorkerMessage>]
    private let underWay: Gauge
    private static let gatherUs: UInt32 = 2_000
    private static let batch = 32

    /// - Parameter senders: of sockets that outlive the desk's `run`.
    init(_ identity: DTLSIdentity, senders: [DatagramSender], workers: [Mailbox<WorkerMessage>], underWay: Gauge) {
        (self.identity, self.senders, self.workers, self.underWay) = (identity, senders, workers, underWay)
    }

    /// A peer's handshake begins; its end comes to the worker's mailbox.
    /// - Returns: false where too much waits already: it won't begin.
    func begin(_ key: Key, _ role: DTLSSession.Role, fingerprint: DTLSFingerprint, on path: SocketAddress) -> Bool {
        mailbox.post(.begin(key, role, fingerprint, path))
    }

    /// What comes for it.
    /// - Returns: false where too much waits already: the peer will have to send it again.
    func tell(_ key: Key, _ step: HandshakeStep<SocketAddress>) -> Bool { mailbox.post(.step(key, step)) }

    /// Its peer is gone. Where too much waits already it ends by its own time.
    func forget(_ key: Key) { mailbox.post(.forget(key)) }

    /// Ends `run`.
    func stop() { mailbox.post(.stop, must: true) }

    /// Works until `stop`.
    func run() {
        var work = Work(desk: self)
        let poller = Poller()
        poller.watch(mailbox.descriptor, token: 0)
        while true {
            var isSaid = false
            poller.wait(until: work.deadline, now: Clocks.monotonicNs()) { _ in isSaid = true }
            if isSaid { usleep(Self.gatherUs) }
            for (place, message) in mailbox.take().enumerated() {
                if case .stop = message { return }
                work.perform(message)
                // Of many the first do not wait for the last.
                if place % Self.batch == Self.batch - 1 { work.flush() }
            }
            work.tick()
            work.flush()
        }
    }

    /// What the desk's thread alone has.
    private struct Work {
        let desk: HandshakeDesk
        private var handshakes: [Key: Entry] = [:] { didSet { desk.underWay.set(handshakes.count) } }
        private var timers = TimerHeap<Key>()
        /// What this turn brought, by worker, and what it sends.
        private var ends: [[HandshakeEnding]]
        private var outgoing: [(datagram: [UInt8], path: SocketAddress, worker: Int)] = []

        init(desk: HandshakeDesk) {
            self.desk = desk
            ends = desk.workers.map { _ in [] }
        }

        private struct Entry {
            let handshake: PeerHandshake<SocketAddress>
            /// When it comes up in `timers`.
            var scheduledAt: Int64?
        }

        var deadline: Int64? { timers.earliest }

        mutating func perform(_ message: Message) {
            let now = Clocks.monotonicNs()
            switch message {
            case .begin(let key, let role, let fingerprint, let path):
                do throws(DTLSError) {
                    let handshake = try PeerHandshake(desk.identity, role, fingerprint: fingerprint, on: path, at: now)
                    handshakes[key] = Entry(handshake: handshake)
                    settle(key, handshake, handshake.start(at: now))
                } catch {
                    ends[key.worker].append(HandshakeEnding(number: key.number, end: .refused(error.description)))
                }
            case .step(let key, let step):
                guard let handshake = handshakes[key]?.handshake else { return }
                switch step {
                case .begin(let path), .path(let path): handshake.move(to: path)
                case .datagram(let datagram, let path):
                    handshake.move(to: path)
                    settle(key, handshake, datagram.withUnsafeBytes { handshake.receive($0, at: now) })
                }
            case .forget(let key): handshakes[key] = nil
            case .stop: break
            }
        }

        mutating func tick() {
            let now = Clocks.monotonicNs()
            while let due = timers.pop(until: now) {
                guard let entry = handshakes[due.key], entry.scheduledAt == due.at else { continue }
                handshakes[due.key]?.scheduledAt = nil
                settle(due.key, entry.handshake, entry.handshake.tick(at: now))
            }
        }

        private mutating func settle(_ key: Key, _ handshake: PeerHandshake<SocketAddress>, _ end: HandshakeEnd?) {
            if let end {
                handshakes[key] = nil
                ends[key.worker].append(HandshakeEnding(number: key.number, end: end))
            }
            outgoing += handshake.takeOutgoing().map { ($0, handshake.path, key.worker) }
            guard end == nil else { return }
            let deadline = handshake.deadline
            if let scheduled = handshakes[key]?.scheduledAt, scheduled <= deadline { return }
            handshakes[key]?.scheduledAt = deadline
            timers.push(TimerHeap.Entry(at: deadline, key: key))
        }

        /// Gives away what a turn brought. The workers have the keys before their peers have our last word, and with it leave to send media.
        mutating func flush() {
            for worker in ends.indices where !ends[worker].isEmpty {
                desk.workers[worker].post(.handshakes(ends[worker]), must: true)
                ends[worker] = []
            }
            for (datagram, path, worker) in outgoing {
                // Connections are their worker's.
                if path.isTCP {
                    desk.workers[worker].post(.datagram(datagram, to: path))
                } else {
                    desk.senders[worker].send(datagram, to: path)
                }
            }
            outgoing.removeAll(keepingCapacity: true)
        }
    }
}

/// How a handshake of a worker's peer ended, by its number there.
struct HandshakeEnding: Sendable {
    var number: UInt64
    var end: HandshakeEnd
}
