import Dispatch
import Glibc
import Messages
import Reactor
import Synchronization
import Telemetry

/// The thread that takes packets out of the workers' rings and keeps them in capture files: written at least every 100 ms, made last
/// (`fdatasync`) once a second by a thread of its own, so that a slow disk does not hold up what a dying process would lose.
///
/// `@unchecked Sendable`: `captures` is used on the writer's thread only.
final class SpoolWriter: @unchecked Sendable {
    /// A burst whose packets have all been taken.
    struct Finished: Sendable {
        var start: BurstStart
        var fileName: String
        /// Why something is missing.
        var cause: TalkRecord.Cause?
        /// Whether there is a capture to encode.
        var isKept: Bool
        /// How long the burst was by its timestamps alone, for what could not be kept.
        var durationMs: Int64
    }

    private struct Key: Hashable {
        var ring: Int
        var burst: UInt32
    }

    private final class OpenCapture {
        let start: BurstStart
        let fileName: String
        var descriptor: Int32
        var pending: [UInt8]
        var cause: TalkRecord.Cause?
        var written = 0
        var lastSyncNs: Int64
        var timestamps: (first: UInt32, last: UInt32)?

        init(start: BurstStart, fileName: String, descriptor: Int32, nowNs: Int64) {
            (self.start, self.fileName, self.descriptor, self.lastSyncNs) = (start, fileName, descriptor, nowNs)
            pending = Capture.header(start, fileName: fileName)
        }
    }

    /// How long packets wait in a ring at most, while a burst is open.
    private static let tickMs = 100

    private let spool: Spool
    private let names: SpoolNames
    private let rings: [RecorderRing]
    private let finished: @Sendable (Finished) -> Void
    private let wake = DispatchSemaphore(value: 0)
    private let isStopping = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)
    private let syncing = WorkQueue(name: "sync", threads: 1)
    private let failures: Counter
    private let logger: Logger
    private var captures: [Key: OpenCapture] = [:]

    init(
        spool: Spool, names: SpoolNames, rings: [RecorderRing], log: Logger, failures: Counter,
        finished: @escaping @Sendable (Finished) -> Void
    ) {
        self.spool = spool
        self.names = names
        self.rings = rings
        logger = log
        self.failures = failures
        self.finished = finished
    }

    func start() {
        for ring in rings { ring.onWake { [wake] in wake.signal() } }
        ServiceThread(name: "spool") { [self] in serve() }.detach()
    }

    /// Takes what is there, closes the captures and ends the thread. Blocks until it has.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.signal()
        ended.wait()
    }

    private func serve() {
        while true {
            let last = isStopping.load(ordering: .acquiring)
            if !last {
                if captures.isEmpty { wake.wait() } else { _ = wake.wait(timeout: .now() + .milliseconds(Self.tickMs)) }
            }
            for (index, ring) in rings.enumerated() { ring.drain { take($0, ring: index) } }
            let now = Clocks.monotonicNs()
            for capture in captures.values { write(capture, now) }
            if last { break }
        }
        for ring in rings { ring.onWake(nil) }
        // A burst that nobody ended is found at the next start, as after a crash.
        for capture in captures.values where capture.descriptor >= 0 { sync(capture.descriptor, thenClose: true) }
        captures = [:]
        // Behind all that is still to be made last and told.
        syncing.post { [ended] in ended.signal() }
        syncing.close()
    }

    private func take(_ entry: RecorderRing.Entry, ring: Int) {
        switch entry {
        case .begin(let burst, let start): begin(start, Key(ring: ring, burst: burst))
        case .packet(let burst, let packet):
            guard let capture = captures[Key(ring: ring, burst: burst)] else { return }
            capture.timestamps = (capture.timestamps?.first ?? packet.timestamp, packet.timestamp)
            if capture.descriptor >= 0 { capture.pending += Capture.entry(packet) }
        case .end(let burst, let cause):
            guard let capture = captures.removeValue(forKey: Key(ring: ring, burst: burst)) else { return }
            end(capture, cause)
        case .lost(let start, let durationMs):
            finished(Finished(start: start, fileName: "", cause: .spoolFull, isKept: false, durationMs: durationMs))
        }
    }

    private func begin(_ start: BurstStart, _ key: Key) {
        let name = names.reserve(start)
        let path = spool.capture(start.talkID)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        let capture = OpenCapture(start: start, fileName: name, descriptor: descriptor, nowNs: Clocks.monotonicNs())
        if descriptor < 0 { fail(capture, SpoolError("can't make", path)) }
        captures[key] = capture
    }

    private func end(_ capture: OpenCapture, _ cause: TalkRecord.Cause?) {
        let cause = capture.cause ?? cause
        if capture.descriptor >= 0 {
            capture.pending += Capture.end(cause)
            write(capture, Clocks.monotonicNs())
        }
        let length = capture.timestamps.map { Int64(Int32(bitPattern: $0.last &- $0.first)) / 48 + 20 } ?? 0
        let result = Finished(
            start: capture.start, fileName: capture.fileName, cause: capture.cause ?? cause, isKept: capture.written > 0,
            durationMs: max(0, length))
        let (finished, descriptor) = (self.finished, capture.descriptor)
        syncing.post {
            if descriptor >= 0 {
                fdatasync(descriptor)
                close(descriptor)
            }
            finished(result)
        }
    }

    /// Makes a file's data last, on the other thread.
    private func sync(_ descriptor: Int32, thenClose: Bool) {
        // Its own descriptor, as the capture may be closed meanwhile.
        let own = thenClose ? descriptor : dup(descriptor)
        guard own >= 0 else { return }
        syncing.post {
            fdatasync(own)
            close(own)
        }
    }

    private func write(_ capture: OpenCapture, _ now: Int64) {
        guard capture.descriptor >= 0 else { return }
        if !capture.pending.isEmpty {
            do {
                try Spool.write(capture.pending, to: capture.descriptor)
                capture.written += capture.pending.count
                capture.pending.removeAll(keepingCapacity: true)
            } catch {
                // What is there ends with its last whole entry; the rest of the talk goes on unrecorded.
                ftruncate(capture.descriptor, off_t(capture.written))
                close(capture.descriptor)
                capture.descriptor = -1
                fail(capture, error)
                return
            }
        }
        if now - capture.lastSyncNs >= 1_000_000_000 {
            capture.lastSyncNs = now
            sync(capture.descriptor, thenClose: false)
        }
    }

    private func fail(_ capture: OpenCapture, _ error: SpoolError) {
        capture.cause = .spoolFull
        capture.pending = []
        failures.increment()
        logger.error("a talk can't be kept", ["talk_id": .string(capture.start.talkID.description), "cause": .string(error.description)])
    }
}
