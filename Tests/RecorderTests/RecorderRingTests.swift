import Dispatch
import Synchronization
import Talk
import Testing

@testable import Recorder

@Suite struct RecorderRingTests {
    static func start(_ number: Int64 = 1) throws -> BurstStart {
        BurstStart(
            talkID: TalkID(unixMs: 1_700_000_000_000 + number, random: (1, 2)), gid: try #require(GroupID(1)),
            uid: try #require(UserID(14)), role: .manager, groupName: "Gruppe Süd", displayName: "Ute", startMs: 1_700_000_000_000 + number,
            startNs: 5_000_000_000)
    }

    @Test func entriesComeOutInOrderAndWhole() throws {
        let ring = RecorderRing(capacityBytes: 4096)
        let start = try Self.start()
        var expected: [RecordedPacket] = []
        var seen: [RecordedPacket] = []
        var ends = 0
        // Several times around the memory, with lengths that leave every kind of rest at its end.
        for round in 0..<50 {
            let handle = ring.begin(start)
            for step in 0..<10 {
                let payload = (0..<(round * 7 + step) % 200).map { UInt8($0) }
                let packet = RecordedPacket(
                    sequence: UInt16(step), timestamp: UInt32(round), marker: step == 0, arrivalNs: UInt64(step), payload: payload)
                expected.append(packet)
                let taken = payload.withUnsafeBytes {
                    ring.append(
                        handle, sequence: packet.sequence, timestamp: packet.timestamp, marker: packet.marker, arrivalNs: packet.arrivalNs,
                        payload: $0)
                }
                #expect(taken)
            }
            ring.end(handle, cause: nil)
            ring.drain { entry in
                switch entry {
                case .begin(_, let seenStart): #expect(seenStart == start)
                case .packet(_, let packet): seen.append(packet)
                case .end(_, let cause):
                    #expect(cause == nil)
                    ends += 1
                case .lost: Issue.record("nothing was lost")
                }
            }
        }
        #expect(seen == expected && ends == 50)
    }

    /// Bursts that begin while the ring is full: one of them is recorded from when there is room, the other is told of.
    @Test func aBurstThatBeginsOnAFullRingIsToldOf() throws {
        let ring = RecorderRing(capacityBytes: 4096)
        let payload = [UInt8](repeating: 1, count: 100)
        func append(_ handle: BurstHandle, _ step: Int) -> Bool {
            payload.withUnsafeBytes {
                ring.append(handle, sequence: UInt16(step), timestamp: 0, marker: false, arrivalNs: UInt64(step) * 20_000_000, payload: $0)
            }
        }
        let first = ring.begin(try Self.start())
        while append(first, 0) {}
        // To the last byte.
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        while ring.append(first, sequence: 0, timestamp: 0, marker: false, arrivalNs: 0, payload: empty) {}
        var start = try Self.start()
        start.startNs = 0
        let (late, never) = (ring.begin(start), ring.begin(start))
        for step in 0..<50 { #expect(!append(late, step) && !append(never, step)) }
        ring.end(never, cause: nil)
        ring.drain { if case .lost(_, let durationMs) = $0 { #expect(durationMs >= 980) } }
        #expect(append(late, 50))
        ring.end(late, cause: nil)
        var seen: [String] = []
        ring.drain { entry in
            switch entry {
            case .begin: seen.append("begin")
            case .packet(_, let packet): seen.append("\(packet.sequence)")
            case .end(_, let cause): seen.append(cause?.rawValue ?? "-")
            case .lost: seen.append("lost")
            }
        }
        #expect(seen == ["begin", "50", "spool_full"])
    }

    @Test func aFullRingRefusesAndTheEndTellsOfIt() throws {
        let ring = RecorderRing(capacityBytes: 4096)
        let handle = ring.begin(try Self.start())
        let payload = [UInt8](repeating: 1, count: 100)
        var taken = 0
        for step in 0..<100 {
            let fits = payload.withUnsafeBytes {
                ring.append(handle, sequence: UInt16(step), timestamp: 0, marker: false, arrivalNs: 0, payload: $0)
            }
            taken += fits ? 1 : 0
        }
        #expect(taken < 100 && ring.refusedPackets == UInt64(100 - taken))
        #expect(taken > 0)
        ring.end(handle, cause: nil)
        var packets = 0
        var causes: [String] = []
        ring.drain { entry in
            switch entry {
            case .begin: break
            case .packet: packets += 1
            case .end(_, let cause): causes.append(cause?.rawValue ?? "-")
            case .lost: Issue.record("nothing was lost whole")
            }
        }
        #expect(packets == taken && causes == ["spool_full"])
    }

    @Test func twoThreadsNeverMixBytes() async throws {
        let ring = RecorderRing(capacityBytes: 1 << 16)
        let start = try Self.start()
        let tally = Tally()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withCheckedContinuation { continuation in
                    DispatchQueue.global().async {
                        let handle = ring.begin(start)
                        var sent = 0
                        for step in 0..<50_000 {
                            let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: step % 150)
                            let taken = payload.withUnsafeBytes {
                                ring.append(
                                    handle, sequence: UInt16(truncatingIfNeeded: step), timestamp: 0, marker: false, arrivalNs: 0,
                                    payload: $0)
                            }
                            if taken { sent += 1 }
                        }
                        tally.counts.withLock { $0.sent = sent }
                        ring.end(handle, cause: nil)
                        tally.isProduced.store(true, ordering: .releasing)
                        continuation.resume()
                    }
                }
            }
            group.addTask {
                var isOver = false
                while !isOver {
                    isOver = tally.isProduced.load(ordering: .acquiring)
                    ring.drain { entry in
                        guard case .packet(_, let packet) = entry else { return }
                        let byte = UInt8(truncatingIfNeeded: packet.sequence)
                        if packet.payload.allSatisfy({ $0 == byte }) { tally.counts.withLock { $0.taken += 1 } }
                    }
                    await Task.yield()
                }
            }
        }
        let (sent, taken) = tally.counts.withLock { $0 }
        #expect(sent == taken && sent > 0)
    }
}

private final class Tally: Sendable {
    let isProduced = Atomic<Bool>(false)
    let counts = Mutex<(sent: Int, taken: Int)>((0, 0))
}
