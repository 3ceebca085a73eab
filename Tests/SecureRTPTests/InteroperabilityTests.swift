import SecureRTP
import TestTraits
import Testing

/// Both ways against libsrtp2.
@Suite(.oneAtATime) struct InteroperabilityTests {
    static let ways = SRTPSuite.allCases.flatMap { suite in backends.map { (suite, $0) } }

    @Test(arguments: ways)
    func randomPacketsToLibsrtp(_ suite: SRTPSuite, _ backend: SRTPBackend) throws {
        var random = Random(seed: 1)
        let key = try random.key(suite)
        let (sender, yardstick, twin) = (
            try SRTPSender(key, backend: backend), try Yardstick(key, sending: false), try Yardstick(key, sending: true)
        )
        for number in 0..<600 {
            let packet = Packets.rtp(
                &random, sequence: UInt16(number), csrcs: Int.random(in: 0...15, using: &random),
                extensionWords: Bool.random(using: &random) ? Int.random(in: 0...20, using: &random) : nil)
            let protected = try sender.protected(packet)
            #expect(protected == (try twin.protect(packet)))
            #expect(try yardstick.unprotect(protected) == packet)
        }
    }

    @Test(arguments: SRTPSuite.allCases)
    func randomPacketsFromLibsrtp(_ suite: SRTPSuite) throws {
        var random = Random(seed: 2)
        let key = try random.key(suite)
        let (receiver, yardstick) = (try SRTPReceiver(key), try Yardstick(key, sending: true))
        for number in 0..<600 {
            let packet = Packets.rtp(
                &random, sequence: UInt16(number), payload: number <= 40 ? number : nil, csrcs: Int.random(in: 0...15, using: &random),
                extensionWords: Bool.random(using: &random) ? Int.random(in: 0...20, using: &random) : nil)
            #expect(try receiver.plain(try yardstick.protect(packet)) == packet)
        }
    }

    /// The roll-over counter runs through several wraps, with bursts of loss up to 20,000 packets, on both sides alike.
    @Test(arguments: ways)
    func sequenceWraps(_ suite: SRTPSuite, _ backend: SRTPBackend) throws {
        var random = Random(seed: 3)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key, backend: backend), try SRTPReceiver(key))
        let (outbound, inbound) = (try Yardstick(key, sending: true), try Yardstick(key, sending: false))
        var index = 0x7f00
        while index < 5 << 16 {
            let packet = Packets.rtp(&random, sequence: UInt16(truncatingIfNeeded: index), payload: 40)
            let protected = try sender.protected(packet)
            #expect(protected == (try outbound.protect(packet)))
            #expect(try receiver.plain(protected) == packet)
            #expect(try inbound.unprotect(protected) == packet)
            #expect(receiver.rolloverCounter(ssrc: 0x1234_5678) == UInt32(index >> 16))
            index += Int.random(in: 0..<20, using: &random) == 0 ? Int.random(in: 1...20_000, using: &random) : 1
        }
        #expect(sender.rolloverCounter(ssrc: 0x1234_5678) == 4)
    }

    @Test(arguments: ways)
    func rtcp(_ suite: SRTPSuite, _ backend: SRTPBackend) throws {
        var random = Random(seed: 4)
        let key = try random.key(suite)
        let (sender, receiver) = (try SRTPSender(key, backend: backend), try SRTPReceiver(key))
        let (outbound, inbound) = (try Yardstick(key, sending: true), try Yardstick(key, sending: false))
        for number in 0..<400 {
            let packet = Packets.rtcp(&random, words: number < 10 ? number : Int.random(in: 0...300, using: &random))
            #expect(try inbound.unprotectRTCP(try sender.protectedRTCP(packet)) == packet)
            #expect(try receiver.plainRTCP(try outbound.protectRTCP(packet)) == packet)
        }
    }

    /// Authenticated only: the E bit is 0.
    @Test(arguments: SRTPSuite.allCases)
    func rtcpInTheClear(_ suite: SRTPSuite) throws {
        var random = Random(seed: 5)
        let key = try random.key(suite)
        let (receiver, outbound) = (try SRTPReceiver(key), try Yardstick(key, sending: true, rtcpInTheClear: true))
        for words in 0..<30 {
            let packet = Packets.rtcp(&random, words: words)
            var protected = try outbound.protectRTCP(packet)
            #expect(Array(protected[..<packet.count]) == packet)
            protected[4] ^= 1
            #expect(throws: SRTPError.authentication) { try receiver.plainRTCP(protected) }
            protected[4] ^= 1
            #expect(try receiver.plainRTCP(protected) == packet)
            #expect(throws: SRTPError.replay) { try receiver.plainRTCP(protected) }
        }
    }

    /// Loss, reordering and duplicates: what we take is what libsrtp2 takes with a window as long.
    @Test(arguments: SRTPSuite.allCases, 1...4 as ClosedRange<UInt64>)
    func lossyNetwork(_ suite: SRTPSuite, seed: UInt64) throws {
        var random = Random(seed: seed)
        let key = try random.key(suite)
        let (sender, receiver, inbound) = (try SRTPSender(key), try SRTPReceiver(key), try Yardstick(key, sending: false))
        var sent: [(plain: [UInt8], protected: [UInt8])] = []
        for index in 0x7ff0..<0x7ff0 + 1_500 {
            let packet = Packets.rtp(&random, sequence: UInt16(truncatingIfNeeded: index * 43), payload: 20)
            sent.append((packet, try sender.protected(packet)))
        }
        var taken = Set<Int>()
        var highest = 0
        for number in sent.indices where Int.random(in: 0..<10, using: &random) > 0 {
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = max(0, number - Int.random(in: 0...5, using: &random))
                let ours = try? receiver.plain(sent[place].protected)
                let isFresh = !taken.contains(place) && (place > highest || (highest - place) * 43 < 128)
                #expect((ours != nil) == isFresh, "packet \(place) behind \(highest), seed \(seed)")
                if ours != nil {
                    #expect(ours == sent[place].plain)
                    #expect((try? inbound.unprotect(sent[place].protected)) == ours)
                    taken.insert(place)
                    highest = max(highest, place)
                }
            }
        }
        #expect(taken.count > 1_000)
    }
}
