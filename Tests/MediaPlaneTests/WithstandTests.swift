import Floor
import Glibc
import RTP
import Reactor
import SecureRTP
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// What devices and strangers may do to the media plane without others noticing: floods, forged and replayed packets, colliding SSRCs.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct WithstandTests {
    static let suites: [SRTPSuite?] = [nil] + SRTPSuite.allCases

    /// Somebody in a room, with SRTP where a suite is given.
    private func device(_ uid: Int64, in gid: GroupID, _ bench: PlaneBench, _ suite: SRTPSuite?) async throws -> (BenchSocket, MediaAnswer)
    {
        let socket = try BenchSocket(ssrc: UInt32(1_000 + uid))
        var media = socket.media
        if let suite {
            let keys = SRTPKeys(remote: try SRTPKey.random(suite), local: try SRTPKey.random(suite))
            media.srtp = keys
            (socket.sender, socket.receiver) = (try SRTPSender(keys.remote), try SRTPReceiver(keys.local))
        }
        return (socket, try await bench.join(try user(uid), in: gid, media).media)
    }

    private func take(_ uid: Int64, in gid: GroupID, _ bench: PlaneBench) async throws {
        try await bench.floor(.request(try user(uid), tier: .normal, priority: 0, queue: nil), of: try user(uid), in: gid)
    }

    private func give(_ uid: Int64, in gid: GroupID, _ bench: PlaneBench) async throws {
        try await bench.floor(.release(try user(uid)), of: try user(uid), in: gid)
    }

    /// 1,000 packets a second from who has the floor: cut to the rate, counted, and the room beside it loses nothing.
    @Test(arguments: suites) func aTalkerWhoFloodsIsCutToTheRate(_ suite: SRTPSuite?) async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let (gid, beside) = (try group(1), try group(2))
        bench.open(gid)
        bench.open(beside)
        let (flooder, place) = try await device(1, in: gid, bench, suite)
        let (listener, _) = try await device(2, in: gid, bench, suite)
        let (talker, other) = try await device(3, in: beside, bench, suite)
        let (quiet, _) = try await device(4, in: beside, bench, suite)
        try await take(1, in: gid, bench)
        try await take(3, in: beside, bench)
        let start = Clocks.monotonicNs()
        for index in 0..<1_000 {
            try flooder.talk([1, 2, 3], to: place.address)
            // One in twenty is the neighbour's turn, at the usual 50 a second.
            if index % 20 == 0 {
                try talker.talk([9, UInt8(index / 20)], to: other.address)
                #expect(try quiet.hear()?.payload == [9, UInt8(index / 20)])
            }
            let pause = start + Int64(index + 1) * 1_000_000 - Clocks.monotonicNs()
            if pause > 0 { usleep(UInt32(pause / 1_000)) }
        }
        let seconds = Double(Clocks.monotonicNs() - start) / 1e9
        try await give(1, in: gid, bench)
        var heard = 0
        while try listener.hear(isPatient: false) != nil { heard += 1 }
        #expect(heard >= 120 && Double(heard) <= 50 + 120 * (seconds + 0.1), "\(heard) in \(seconds) s")
        #expect(bench.dropped("over_rate") == 1_000 - heard)
        #expect(bench.dropped("not_authentic") == 0)
    }

    /// A stranger who forges a device's address can't use up its rate, be heard, or take its place, where there is SRTP.
    @Test(arguments: SRTPSuite.allCases) func whoForgesASourceIsNotHeardAndCostsNothing(_ suite: SRTPSuite) async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let gid = try group(1)
        bench.open(gid)
        let (talker, place) = try await device(1, in: gid, bench, suite)
        let (listener, _) = try await device(2, in: gid, bench, suite)
        try await take(1, in: gid, bench)
        let forger = try BenchSocket(ssrc: talker.ssrc, twin: talker)
        #expect(forger.address == talker.address)
        let first = try talker.packet([1])
        talker.send(first, to: place.address)
        #expect(try listener.hear()?.payload == [1])
        // Its own keys, none, the talker's own packet again, the same one damaged, and DTLS where there is none.
        forger.sender = try SRTPSender(try SRTPKey.random(suite))
        var damaged = try talker.packet([2])
        damaged[13] ^= 1
        for _ in 0..<400 {
            forger.send(first, to: place.address)
            forger.send(damaged, to: place.address)
            try forger.talk([3], to: place.address)
            forger.send(
                RTPHeader.bytes(marker: false, payloadType: 100, sequence: 9, timestamp: 9, ssrc: talker.ssrc) + [4], to: place.address)
        }
        for number in 10..<20 as Range<UInt8> {
            try talker.talk([number], to: place.address)
            #expect(try listener.hear()?.payload == [number])
        }
        #expect(bench.dropped("not_authentic") == 1_600 && bench.dropped("over_rate") == 0)
    }

    /// SSRCs are random, and may be the same: two devices with one, and one with the very SSRC that the server sends to it.
    @Test(arguments: suites) func collidingSSRCsAreHeardAsOneStream(_ suite: SRTPSuite?) async throws {
        let bench = try PlaneBench(workers: 2) { $0.packetsPerSecond = 100_000 }
        defer { bench.plane.stop() }
        let gid = try group(1)
        bench.open(gid)
        let (first, one) = try await device(1, in: gid, bench, suite)
        let (second, two) = try await device(2, in: gid, bench, suite)
        let (listener, _) = try await device(3, in: gid, bench, suite)
        let (plain, _) = try await device(4, in: gid, bench, nil)
        (first.ssrc, second.ssrc) = (one.ssrc, one.ssrc)
        #expect(one.ssrc == two.ssrc)
        var last: (sequence: UInt16, timestamp: UInt32)?
        for round in 0..<6 as Range<UInt8> {
            let (talker, hearer, place, uid) = round % 2 == 0 ? (first, second, one, Int64(1)) : (second, first, two, 2)
            try await take(uid, in: gid, bench)
            for number in 0..<20 as Range<UInt8> {
                try talker.talk([round, number], to: place.address)
                for who in [hearer, listener, plain] {
                    let heard = try #require(try who.hear())
                    #expect(heard.payload == [round, number] && heard.header.ssrc == one.ssrc)
                    if who === plain {
                        if let last { #expect(heard.header.sequence == last.sequence &+ 1 && heard.header.timestamp != last.timestamp) }
                        last = (heard.header.sequence, heard.header.timestamp)
                    }
                }
            }
            try await give(uid, in: gid, bench)
        }
        #expect(bench.dropped("not_authentic") == 0 && bench.dropped("late") == 0)
    }

    /// A device that changes its SSRC all the time is one talker, and its key is not used up for others.
    @Test(arguments: suites) func anSSRCForEachPacketDoesNoHarm(_ suite: SRTPSuite?) async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let gid = try group(1)
        bench.open(gid)
        let (talker, place) = try await device(1, in: gid, bench, suite)
        let (listener, _) = try await device(2, in: gid, bench, suite)
        try await take(1, in: gid, bench)
        var last: UInt16?
        for number in 0..<40 as Range<UInt8> {
            talker.ssrc = 5_000 + UInt32(number)
            try talker.talk([number], to: place.address)
            let heard = try #require(try listener.hear())
            #expect(heard.payload == [number] && (last.map { heard.header.sequence == $0 &+ 1 } ?? true))
            last = heard.header.sequence
        }
        talker.ssrc = 5_030
        try talker.talk([99], to: place.address)
        #expect(try listener.hear()?.payload == [99])
    }
}
