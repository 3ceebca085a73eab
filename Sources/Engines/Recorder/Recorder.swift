import Crypto
import Glibc
import Messages
import Synchronization
import Talk
import Telemetry

/// Records talks: rings → captures → MP3 → outbox → Kafka, until the archive has them (MESSAGES.md, "Delivery").
///
/// Whatever step a crash interrupts, the next start goes on at the first one not done; per talk there is one file and one record.
public final class Recorder: Sendable {
    /// Publishes a talk record: the entry's group is the key, its value the exact bytes. The second argument is to be called once,
    /// with true when the broker has acknowledged it.
    public typealias Publish = @Sendable (OutboxEntry, _ then: @escaping @Sendable (Bool) -> Void) -> Void

    /// Where the media workers put their packets: a ring for each.
    public let rings: [RecorderRing]
    private let settings: RecorderSettings
    private let spool: Spool
    private let names: SpoolNames
    private let queue: WorkQueue
    private let outbox: Outbox
    private let writer: SpoolWriter
    private let recorded: Counter
    private let ip: String
    private let logger: Logger
    private let janitor = Mutex<Task<Void, Never>?>(nil)

    /// Prepares the spool and goes on with what an earlier run left.
    /// - Parameters:
    ///   - workers: how many media workers there are.
    ///   - ip: what stands as `ip` in talk records.
    /// - Throws: `RecorderError` where the spool's folders can't be made.
    public init(
        _ settings: RecorderSettings, workers: Int = 1, ip: String, metrics: Metrics, log: Logger, publish: @escaping Publish
    ) throws(RecorderError) {
        self.settings = settings
        self.ip = ip
        logger = log
        let rings = (0..<workers).map { _ in RecorderRing() }
        self.rings = rings
        spool = Spool(folder: settings.directory)
        do {
            try spool.prepare()
        } catch {
            throw RecorderError(code: .spool, description: "\(error); set spool.directory to a folder that can be written")
        }
        names = SpoolNames(folder: settings.directory)
        // Packets never wait until a talk is encoded, which takes milliseconds.
        let queue = WorkQueue(name: "encoder", threads: settings.encoders, .patient)
        self.queue = queue
        let outboxFolder = spool.outbox
        outbox = Outbox(publish: publish) { entry in queue.post { unlink(outboxFolder + "/\(entry.talkID)") } }
        recorded = metrics.counter("ptt_recorder_talks_total", help: "Talks that were encoded.")
        let failures = metrics.counter("ptt_recorder_spool_errors_total", help: "Talks that could not be kept as a whole.")
        let relay = Relay()
        writer = SpoolWriter(spool: spool, names: names, rings: rings, log: log, failures: failures, finished: { relay.pass($0) })
        metrics.counter("ptt_recorder_refused_packets_total", help: "Packets that found a full ring.") {
            Double(rings.reduce(0) { $0 + $1.refusedPackets })
        }
        relay.set { [weak self] in self?.finished($0) }
        recover()
        writer.start()
        let (spool, keep) = (spool, settings.keep)
        let cleaning = Task {
            while !Task.isCancelled {
                await queue.run { Self.deleteArchived(in: spool, after: keep) }
                try? await Task.sleep(for: .seconds(60))
            }
        }
        janitor.withLock { $0 = cleaning }
    }

    /// Takes what the writer reports, which is made before `self` may be used. The closure is a member: as the mutex's own value it would
    /// be wrapped once more by each look at it.
    private final class Relay: Sendable {
        private struct Target: Sendable {
            var call: (@Sendable (SpoolWriter.Finished) -> Void)?
        }
        private let target = Mutex(Target())
        func set(_ call: @escaping @Sendable (SpoolWriter.Finished) -> Void) { target.withLock { $0.call = call } }
        func pass(_ finished: SpoolWriter.Finished) { target.withLock { $0.call }?(finished) }
    }

    // MARK: What others use

    /// The archive has a talk: its record is not sent again, and its MP3 may go after `spool.keep_hours`. Unknown talks are ignored.
    public func archived(_ talkID: TalkID) { Task { await forget(talkID) } }

    func forget(_ talkID: TalkID) async {
        guard let entry = await outbox.archived(talkID) else { return }
        let spool = spool
        await queue.run {
            let path = spool.outbox + "/\(talkID)"
            if entry.fileName.isEmpty {
                unlink(path)
            } else {
                // The time of its change is the time of the archiving.
                rename(path, path + ".archived")
                utimensat(AT_FDCWD, path + ".archived", nil, 0)
            }
        }
    }

    /// Returns when the broker has acknowledged a talk's record once; the caller limits how long it waits.
    public func published(_ talkID: TalkID) async { await outbox.published(talkID) }

    /// How many talk records are not archived yet.
    public var unarchived: Int { get async { await outbox.count } }

    /// Stops: bursts that were ended are encoded and their records published, as far as the grace allows; the rest is gone on with at
    /// the next start.
    public func stop(grace: Duration = .seconds(5)) async {
        janitor.withLock { $0 }?.cancel()
        let writer = writer
        await withCheckedContinuation { continuation in
            queue.post {
                writer.stop()
                continuation.resume()
            }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await self.queue.idle()
                await self.outbox.flush()
            }
            group.addTask { try? await Task.sleep(for: grace) }
            await group.next()
            await outbox.stop()
            group.cancelAll()
        }
        queue.close()
    }

    // MARK: From capture to outbox

    private func finished(_ finished: SpoolWriter.Finished) {
        queue.post { [self] in
            if finished.isKept {
                encode(finished.start.talkID, cause: finished.cause)
            } else {
                unlink(spool.capture(finished.start.talkID))
                names.release(finished.fileName)
                if finished.durationMs > 0 {
                    submit(finished.start, fileName: "", durationMs: finished.durationMs, file: nil, cause: .spoolFull)
                }
            }
        }
    }

    /// Encodes a capture; tried again while the disk is full, for the capture holds everything.
    private func encode(_ talkID: TalkID, cause: TalkRecord.Cause?) {
        let path = spool.capture(talkID)
        guard let capture = Spool.read(path).flatMap({ Capture.read($0) }) else {
            logger.error("a capture can't be read", ["file": .string(path)])
            rename(path, path + ".broken")
            return
        }
        let cause = cause ?? (capture.isEnded ? capture.cause : .crash)
        do {
            let target = spool.folder + "/" + capture.fileName
            let (result, file) = try encode(capture, truncated: cause != nil, to: target)
            if result.hasSound {
                recorded.increment()
                submit(capture.start, fileName: capture.fileName, durationMs: result.durationMs, file: file, cause: cause) { unlink(path) }
            } else {
                unlink(path)
            }
            names.release(capture.fileName)
        } catch {
            logger.error("a talk can't be encoded yet", ["talk_id": .string(talkID.description), "cause": .describing(error)])
            queue.post(after: .seconds(10)) { [self] in encode(talkID, cause: cause) }
        }
    }

    private func encode(
        _ capture: Capture.Contents, truncated: Bool, to target: String
    ) throws -> (BurstEncoder.Result, (md5: String, size: Int64)?) {
        let part = target + ".part"
        let descriptor = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SpoolError("can't write", part) }
        defer { close(descriptor) }
        do {
            let result = try BurstEncoder.encode(capture, truncated: truncated, settings: settings, into: descriptor)
            guard result.hasSound else {
                unlink(part)
                return (result, nil)
            }
            guard let (digest, size) = Digests.hash(.md5, descriptor: descriptor) else { throw SpoolError("can't read", part) }
            guard fsync(descriptor) == 0, rename(part, target) == 0 else { throw SpoolError("can't write", target) }
            try Spool.syncFolder(of: target)
            return (result, (Digests.hex(digest), Int64(size)))
        } catch {
            unlink(part)
            throw error
        }
    }

    private func submit(
        _ start: BurstStart, fileName: String, durationMs: Int64, file: (md5: String, size: Int64)?, cause: TalkRecord.Cause?,
        kept: @escaping @Sendable () -> Void = {}
    ) {
        let record = TalkRecord(
            ip: ip, talkID: start.talkID, uid: start.uid, gid: start.gid, role: start.role, md5: file?.md5 ?? "",
            size: file?.size ?? 0, filePath: fileName.isEmpty ? "" : "\(settings.publicURL)/spool/\(fileName)", startMs: start.startMs,
            endMs: start.startMs + durationMs, truncated: cause != nil, cause: cause)
        let entry = OutboxEntry(talkID: start.talkID, gid: start.gid, fileName: fileName, value: record.encoded)
        keep(entry, kept)
        Task { [outbox] in await outbox.add(entry) }
    }

    /// Writes a record down, tried again while the disk is full; meanwhile this process publishes it, and the capture is there for the next.
    private func keep(_ entry: OutboxEntry, _ kept: @escaping @Sendable () -> Void) {
        do {
            try Spool.replace(spool.outbox + "/\(entry.talkID)", with: entry.bytes)
            kept()
        } catch {
            logger.error("the outbox can't be written yet", ["talk_id": .string(entry.talkID.description), "cause": .describing(error)])
            queue.post(after: .seconds(10)) { [self] in keep(entry, kept) }
        }
    }

    // MARK: Recovery and cleaning

    /// Goes on with what an earlier run left: records first, then captures whose record is not there yet.
    private func recover() {
        for name in Spool.names(in: spool.outbox) where !name.hasSuffix(".archived") {
            let path = spool.outbox + "/" + name
            if name.hasSuffix(".part") {
                unlink(path)
            } else if let entry = Spool.read(path).flatMap({ OutboxEntry($0) }) {
                // The crash came between outbox and the removal of the capture.
                unlink(spool.capture(entry.talkID))
                Task { [outbox] in await outbox.add(entry) }
            } else {
                logger.error("an outbox entry can't be read", ["file": .string(path)])
            }
        }
        for name in Spool.names(in: spool.captures) where name.hasSuffix(".rtp") {
            let path = spool.captures + "/" + name
            guard let capture = Spool.read(path).flatMap({ Capture.read($0) }) else {
                // Not even its header was written: there was no packet yet.
                unlink(path)
                continue
            }
            names.keep(capture.fileName)
            logger.warning("going on with a talk", ["talk_id": .string(capture.start.talkID.description)])
            queue.post { [self] in encode(capture.start.talkID, cause: nil) }
        }
    }

    /// Deletes MP3s that were archived long enough ago.
    private static func deleteArchived(in spool: Spool, after keep: Duration) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        for name in Spool.names(in: spool.outbox) where name.hasSuffix(".archived") {
            let path = spool.outbox + "/" + name
            var facts = stat()
            guard stat(path, &facts) == 0, now.tv_sec - facts.st_mtim.tv_sec >= Int(keep.components.seconds) else { continue }
            if let entry = Spool.read(path).flatMap({ OutboxEntry($0) }), !entry.fileName.isEmpty {
                unlink(spool.folder + "/" + entry.fileName)
            }
            unlink(path)
        }
    }
}

/// Why the recorder can't work.
public struct RecorderError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public struct Code: Sendable, Hashable {
        private let name: String
        /// The spool's folders can't be used.
        public static let spool = Code(name: "spool")
    }

    /// What kind of thing went wrong.
    public let code: Code
    /// Which folder, and what to do.
    public let description: String
}
