import SecureRTP
import TestTraits
import Testing

/// A stranger without the key must not change anything.
@Suite(.oneAtATime) struct ReceiverTests {
    @Test(arguments: SRTPSuite.allCases)
    func replayAndAge(_ suite: SRTPSuite) throws {
        var random = Random(seed: 21)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        let sent = try (0..<300).map { try sender.protected(Packets.rtp(&random, sequence: UInt16(0x7000 + $0), payload: 30)) }
        _ = try receiver.plain(sent[299])
        #expect(throws: SRTPError.replay) { try receiver.plain(sent[299]) }
        #expect(throws: SRTPError.replay) { try receiver.plain(sent[299 - 128]) }
        for age in (1..<128).reversed() {
            _ = try receiver.plain(sent[299 - age])
            #expect(throws: SRTPError.replay) { try receiver.plain(sent[299 - age]) }
        }
    }

    @Test(arguments: SRTPSuite.allCases)
    func rtcpReplay(_ suite: SRTPSuite) throws {
        var random = Random(seed: 22)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        let sent = try (0..<200).map { _ in try sender.protectedRTCP(Packets.rtcp(&random, words: 6)) }
        _ = try receiver.plainRTCP(sent[199])
        #expect(throws: SRTPError.replay) { try receiver.plainRTCP(sent[199]) }
        #expect(throws: SRTPError.replay) { try receiver.plainRTCP(sent[199 - 128]) }
        for age in (1..<128).reversed() {
            _ = try receiver.plainRTCP(sent[199 - age])
            #expect(throws: SRTPError.replay) { try receiver.plainRTCP(sent[199 - age]) }
        }
    }

    /// Every bit of a packet is authenticated, every length checked.
    @Test(arguments: SRTPSuite.allCases)
    func forgedAndTruncated(_ suite: SRTPSuite) throws {
        var random = Random(seed: 23)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        let plain = Packets.rtp(&random, sequence: 9, payload: 25, csrcs: 2, extensionWords: 1)
        let report = Packets.rtcp(&random, words: 5)
        let (packet, rtcp) = (try sender.protected(plain), try sender.protectedRTCP(report))
        for bit in 0..<packet.count * 8 {
            var forged = packet
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect((try? receiver.plain(forged)) == nil)
        }
        for bit in 0..<rtcp.count * 8 {
            var forged = rtcp
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect((try? receiver.plainRTCP(forged)) == nil)
        }
        for length in 0..<packet.count { #expect((try? receiver.plain(Array(packet[..<length]))) == nil) }
        for length in 0..<rtcp.count { #expect((try? receiver.plainRTCP(Array(rtcp[..<length]))) == nil) }
        for length in 0..<12 + suite.tagBytes {
            #expect(throws: SRTPError.malformed) { try receiver.plain(Array(packet[..<length])) }
        }
        #expect(receiver.sourceCount == 0)
        #expect(receiver.rolloverCounter(ssrc: 0x1234_5678) == nil)
        #expect(try receiver.plain(packet) == plain)
        #expect(try receiver.plainRTCP(rtcp) == report)
        #expect(receiver.sourceCount == 1)
    }

    /// Thousands of packets from a stranger, among them ones that would move the roll-over counter: then all goes on as if they had not been.
    @Test(arguments: SRTPSuite.allCases)
    func garbageChangesNothing(_ suite: SRTPSuite) throws {
        var random = Random(seed: 24)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        var sent: [[UInt8]] = []
        for index in 0..<6_000 {
            let packet = try sender.protected(Packets.rtp(&random, sequence: UInt16(truncatingIfNeeded: 0x7f00 + index * 20), payload: 20))
            sent.append(packet)
            var garbage = random.bytes(Int.random(in: 0...200, using: &random))
            let known = Bool.random(using: &random)
            if garbage.count >= 12 {
                garbage[0] = garbage[0] & 0x3f | 0x80
                if known { garbage.replaceSubrange(8..<12, with: Packets.big(0x1234_5678)) }
                if known, Bool.random(using: &random) { garbage.replaceSubrange(4..<8, with: Packets.big(0x1234_5678)) }
            }
            #expect((try? receiver.plain(garbage)) == nil)
            #expect((try? receiver.plainRTCP(garbage)) == nil)
            var jumping = packet
            jumping[2] ^= UInt8(random.next() & 0xff) | 1
            #expect((try? receiver.plain(jumping)) == nil)
            if index > 0 { #expect(throws: SRTPError.replay) { try receiver.plain(sent[index - 1]) } }
            _ = try receiver.plain(packet)
        }
        #expect(receiver.sourceCount == 1)
        #expect(receiver.rolloverCounter(ssrc: 0x1234_5678) == UInt32((0x7f00 + 5_999 * 20) >> 16))
    }

    /// SSRCs are bounded, none is forgotten, and a stranger cannot use them up.
    @Test(arguments: SRTPSuite.allCases)
    func sourcesAreBounded(_ suite: SRTPSuite) throws {
        var random = Random(seed: 25)
        let key = try random.key(suite)
        let (anchor, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        for ssrc in 0..<100 as Range<UInt32> {
            let forged = Packets.rtp(&random, sequence: 1, ssrc: ssrc &+ 1_000, payload: 40)
            #expect(throws: SRTPError.authentication) { try receiver.plain(forged) }
        }
        #expect(receiver.sourceCount == 0)
        var first: [[UInt8]] = []
        for ssrc in 1..<UInt32(SRTPReceiver.sourceLimit) {
            let packet = Packets.rtp(&random, sequence: 1, ssrc: ssrc, payload: 40)
            first.append(try SRTPSender(key).protected(packet))
            #expect(try receiver.plain(first[Int(ssrc) - 1]) == packet)
            // One goes on all the time, and is heard beside all of them.
            _ = try receiver.plain(try anchor.protected(Packets.rtp(&random, sequence: UInt16(ssrc), ssrc: 0, payload: 40)))
        }
        #expect(receiver.sourceCount == SRTPReceiver.sourceLimit)
        let beyond = try SRTPSender(key)
        #expect(throws: SRTPError.tooManySources) {
            try receiver.plain(try beyond.protected(Packets.rtp(&random, sequence: 1, ssrc: 99_999, payload: 40)))
        }
        #expect(throws: SRTPError.tooManySources) {
            try receiver.plainRTCP(try beyond.protectedRTCP(Packets.rtcp(&random, ssrc: 99_999, words: 1)))
        }
        // What was recorded of any of them is no news.
        for packet in first { #expect(throws: SRTPError.replay) { try receiver.plain(packet) } }
        _ = try receiver.plain(try anchor.protected(Packets.rtp(&random, sequence: UInt16(SRTPReceiver.sourceLimit), ssrc: 0, payload: 40)))
        #expect(receiver.sourceCount == SRTPReceiver.sourceLimit)
    }

    /// A packet of before the first one cannot have a roll-over counter below 0.
    @Test func beforeTheFirst() throws {
        var random = Random(seed: 26)
        let key = try random.key(.aeadAES128GCM)
        let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(key))
        _ = try receiver.plain(try sender.protected(Packets.rtp(&random, sequence: 3, payload: 5)))
        #expect(throws: SRTPError.replay) { try receiver.plain(Packets.rtp(&random, sequence: 0xfffe, payload: 50)) }
    }

    @Test func otherKeysAndDirections() throws {
        var random = Random(seed: 27)
        for suite in SRTPSuite.allCases {
            let (key, other) = (try random.key(suite), try random.key(suite))
            let (sender, receiver) = (try SRTPSender(key), try SRTPReceiver(other))
            let packet = try sender.protected(Packets.rtp(&random, sequence: 1, payload: 50))
            #expect(throws: SRTPError.authentication) { try receiver.plain(packet) }
            #expect(throws: SRTPError.authentication) {
                try receiver.plainRTCP(try sender.protectedRTCP(Packets.rtcp(&random, words: 4)))
            }
        }
    }

    /// The body of the fuzzer, with what has the shape of RTP and RTCP among its input.
    @Test func fuzz() {
        var random = Random(seed: 28)
        for round in 0..<3_000 {
            var input = random.bytes(Int.random(in: 0...90, using: &random))
            if round % 2 == 0, !input.isEmpty { input[0] = input[0] & 0x3f | 0x80 }
            #expect(input.withUnsafeBytes { SRTPFuzz.run($0) } == 0)
        }
    }
}
