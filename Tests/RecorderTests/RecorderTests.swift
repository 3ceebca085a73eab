import AudioCodecs
import Glibc
import JSON
import Messages
import Synchronization
import Talk
import Telemetry
import Testing

@testable import Recorder

@Suite struct RecorderTests {
    /// What was published, as a stream to await.
    final class Broker: Sendable {
        let stream: AsyncStream<[UInt8]>
        private let continuation: AsyncStream<[UInt8]>.Continuation
        init() { (stream, continuation) = AsyncStream<[UInt8]>.makeStream() }
        func publish(_ gid: GroupID, _ value: [UInt8]) { continuation.yield(value) }
        func next() async -> [UInt8] {
            for await value in stream { return value }
            return []
        }
        func record() async throws -> (TalkRecord, [UInt8]) {
            let value = await next()
            return (try #require(try TalkRecord(try JSONValue(parsing: value))), value)
        }
    }

    func folder(_ name: String) -> String { "/tmp/talkburst-recorder-\(getpid())-\(name)" }

    func remove(_ folder: String) {
        for inner in [folder + "/.talks", folder + "/.outbox", folder] {
            for name in Spool.names(in: inner) { unlink(inner + "/" + name) }
            rmdir(inner)
        }
    }

    func recorder(_ folder: String, _ broker: Broker) throws -> Recorder {
        let settings = RecorderSettings(directory: folder, publicURL: "http://127.0.0.1:8088")
        return try Recorder(settings, ip: "127.0.0.1", metrics: Metrics(), log: Logger("recorder")) { entry, then in
            broker.publish(entry.gid, entry.value)
            then(true)
        }
    }

    /// Sends a burst of 20 ms packets; those whose number is in `lost` are not sent.
    func talk(_ ring: RecorderRing, packets: Int, lost: Set<Int> = [], ended: Bool = true, start: BurstStart) throws {
        var encoder = try OpusEncoder(fec: true)
        let handle = ring.begin(start)
        for number in 0..<packets {
            let pcm = (0..<320).map { Int16(($0 * 37 + number * 11) % 400 * 40 - 8000) }
            let packet = try encoder.encode(pcm)
            if lost.contains(number) { continue }
            let taken = packet.withUnsafeBytes {
                ring.append(
                    handle, sequence: UInt16(truncatingIfNeeded: 65_530 + number),
                    timestamp: UInt32(truncatingIfNeeded: number * 960 - 5000),
                    marker: number == 0, arrivalNs: start.startNs + UInt64(number * 20_000_000), payload: $0)
            }
            #expect(taken)
        }
        if ended { ring.end(handle, cause: nil) }
    }

    /// How many samples a decoder that honours the LAME tag plays.
    func playedSamples(_ file: String) throws -> Int {
        let output = file + ".raw"
        defer { unlink(output) }
        let code = run(["ffmpeg", "-v", "error", "-y", "-i", file, "-f", "s16le", output])
        try #require(code == 0)
        return try #require(Spool.read(output)).count / 2
    }

    func run(_ arguments: [String]) -> Int32 {
        var pid = pid_t()
        var argv = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        guard posix_spawnp(&pid, arguments[0], nil, nil, &argv, environ) == 0 else { return -1 }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return status
    }

    @Test func aTalkBecomesAFileAndARecord() async throws {
        let folder = folder("talk")
        let broker = Broker()
        let recorder = try recorder(folder, broker)
        let start = try RecorderRingTests.start()
        try talk(recorder.rings[0], packets: 107, lost: [5, 50, 51, 52], start: start)
        let (record, bytes) = try await broker.record()
        #expect(record.talkID == start.talkID && record.durationMs == 2140 && !record.truncated && record.cause == nil)
        #expect(record.filePath == "http://127.0.0.1:8088/spool/room_1_user_14_1700000000.mp3")
        let file = folder + "/room_1_user_14_1700000000.mp3"
        let size = try #require(Spool.read(file)).count
        #expect(record.size == Int64(size) && record.md5?.count == 32)
        let body = try JSONValue(parsing: bytes)["ptt_msg"]
        #expect(body?["duration"] == "2.14" && body?["start_ms"] == "1700000000001" && body?["truncated"] == "0")
        // 2.14 s at 16 kHz, within 20 ms.
        #expect(abs(try playedSamples(file) - 34_240) <= 320)
        #expect(!Spool.exists(folder + "/.talks/\(start.talkID).rtp"))
        await recorder.forget(start.talkID)
        #expect(Spool.exists(folder + "/.outbox/\(start.talkID).archived") && Spool.exists(file))
        await recorder.stop()
        remove(folder)
    }

    @Test func aSecondTalkInTheSameSecondHasItsOwnName() async throws {
        let folder = folder("names")
        let broker = Broker()
        let recorder = try recorder(folder, broker)
        try talk(recorder.rings[0], packets: 3, start: try RecorderRingTests.start(1))
        try talk(recorder.rings[0], packets: 3, start: try RecorderRingTests.start(2))
        let paths = [try await broker.record().0.filePath, try await broker.record().0.filePath]
        #expect(Set(paths).count == 2 && paths.contains { $0.hasSuffix("_1700000000-2.mp3") })
        await recorder.stop()
        remove(folder)
    }

    @Test func whatACrashLeavesIsGoneOnWith() async throws {
        let folder = folder("crash")
        let start = try RecorderRingTests.start()
        do {
            let recorder = try recorder(folder, Broker())
            try talk(recorder.rings[0], packets: 50, ended: false, start: start)
            await recorder.stop(grace: .zero)
        }
        // A torn tail, as a power failure leaves it.
        let capture = folder + "/.talks/\(start.talkID).rtp"
        let descriptor = open(capture, O_WRONLY | O_APPEND)
        #expect(write(descriptor, [1, 2, 3, 0, 1, 0, 0, 0, 0, 0, 0], 11) == 11)
        close(descriptor)
        let broker = Broker()
        let second = try recorder(folder, broker)
        let (record, bytes) = try await broker.record()
        #expect(record.truncated && record.cause == .crash && record.durationMs == 1000 && record.talkID == start.talkID)
        await second.stop(grace: .zero)
        // Not archived yet: the next run sends the same bytes.
        let third = try recorder(folder, broker)
        #expect(await broker.next() == bytes)
        await third.forget(start.talkID)
        #expect(await third.unarchived == 0)
        await third.stop(grace: .zero)
        #expect(Spool.names(in: folder).filter { $0.hasSuffix(".mp3") }.count == 1)
        remove(folder)
    }

    @Test func aTalkThatCantBeKeptIsStillTold() async throws {
        let folder = folder("full")
        let broker = Broker()
        let recorder = try recorder(folder, broker)
        // The place of the capture is taken by a folder: it can't be made, as on a full disk.
        let start = try RecorderRingTests.start()
        mkdir(folder + "/.talks/\(start.talkID).rtp", 0o755)
        try talk(recorder.rings[0], packets: 50, start: start)
        let (record, _) = try await broker.record()
        #expect(record.filePath.isEmpty && record.truncated && record.cause == .spoolFull && record.durationMs == 1000)
        await recorder.stop()
        rmdir(folder + "/.talks/\(start.talkID).rtp")
        remove(folder)
    }

    @Test func capturesAreReadBack() throws {
        let start = try RecorderRingTests.start()
        let packet = RecordedPacket(sequence: 65_535, timestamp: .max, marker: true, arrivalNs: .max, payload: [1, 2, 3])
        let bytes = Capture.header(start, fileName: "a.mp3") + Capture.entry(packet) + Capture.end(.spoolFull)
        let contents = try #require(Capture.read(bytes))
        #expect(contents.start == start && contents.packets == [packet] && contents.isEnded && contents.cause == .spoolFull)
        // Whatever was cut off: what is whole is read, nothing traps.
        for length in 0..<bytes.count {
            let part = Capture.read(Array(bytes[..<length]))
            #expect(part?.isEnded != true)
        }
    }
}
