import Reactor
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// A media worker that falls behind costs its own listeners packets, and nobody else anything.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct SlowWorkerTests {
    @Test func aWorkerThatStandsStillLosesItsOldestAndNobodyElseNotices() async throws {
        let bench = try PlaneBench(workers: 2) {
            ($0.packetsPerSecond, $0.packetBurst) = (1_000_000, 1_000_000)
        }
        defer { bench.plane.stop() }
        let (gid, other) = (try group(470), try group(471))
        let (talker, slow, quick) = (try BenchSocket(), try BenchSocket(), try BenchSocket())
        bench.open(gid)
        let info = try await bench.join(try user(1), in: gid, talker.media)
        // The room's home has one; the second goes to the other worker, the third comes home.
        #expect(try await bench.join(try user(2), in: gid, slow.media).media.address == bench.plane.addresses[1])
        #expect(try await bench.join(try user(3), in: gid, quick.media).media.address == bench.plane.addresses[0])
        #expect(info.media.address == bench.plane.addresses[0])
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: gid)

        func say(_ numbers: Range<Int>, size: Int) throws {
            for number in numbers {
                let payload = [UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255)] + [UInt8](repeating: 7, count: size)
                try talker.talk(payload, to: info.media.address)
                // Each packet is heard before the next is sent: a talker or a listener at home that is held up would be seen here.
                let heard = try #require(try quick.hear(), "packet \(number)")
                #expect(heard.payload == payload)
            }
        }
        func numbers(_ count: Int, isPatient: Bool) throws -> [Int] {
            var found: [Int] = []
            while found.count < count, let heard = try slow.hear(isPatient: isPatient) {
                found.append(Int(heard.payload[0]) << 16 | Int(heard.payload[1]) << 8 | Int(heard.payload[2]))
            }
            return found
        }
        try say(0..<20, size: 100)
        #expect(try numbers(20, isPatient: true) == Array(0..<20))

        // A room at home on the other worker: its look-up stops it.
        bench.open(other)
        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: other, MediaDescription())
        bench.output.waitUntilStopped()
        let start = ContinuousClock.now
        try say(20..<3_020, size: 1_200)
        #expect(bench.dropped("worker_behind") > 1_000)
        bench.output.release()
        _ = try await stopped

        try say(3_020..<3_040, size: 100)
        var heard: [Int] = []
        while heard.last != 3_039 {
            let more = try numbers(1, isPatient: true)
            try #require(!more.isEmpty, "the last packet did not come; before it \(heard.count)")
            heard += more
        }
        // What was given up is the oldest. Where all this took less than a second nothing of the rest is old, and there is no hole.
        #expect(heard.suffix(20) == Array(3_020..<3_040)[...] && zip(heard, heard.dropFirst()).allSatisfy { $0 < $1 })
        if ContinuousClock.now - start < .milliseconds(900) { #expect(heard.first == 3_040 - heard.count) }
        #expect(bench.dropped("worker_behind") == 3_020 - heard.count)
        #expect(bench.dropped("over_rate") == 0 && bench.dropped("without_floor") == 0)
    }
}
