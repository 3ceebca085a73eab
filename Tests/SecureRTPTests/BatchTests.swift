import SecureRTP
import TestTraits
import Testing

@Suite(.oneAtATime) struct BatchTests {
    /// One listener of a packet: its key, its sequence offset, and where its copy goes.
    private struct Listener {
        let sender: SRTPSender
        let twin: SRTPSender
        let receiver: SRTPReceiver
        let out: UnsafeMutableRawBufferPointer
    }

    private static func listeners(_ count: Int, _ random: inout Random, room: Int) throws -> [Listener] {
        try (0..<count).map { number in
            let suite = SRTPSuite.allCases[number % 3]
            let key = try random.key(suite)
            // Both backends, and every suite, in one batch.
            let backend = backends[number / 3 % backends.count]
            return Listener(
                sender: try SRTPSender(key, backend: backend), twin: try SRTPSender(key, backend: .openSSL),
                receiver: try SRTPReceiver(key),
                out: .allocate(byteCount: 12 + room + suite.tagBytes + 8, alignment: 1))
        }
    }

    /// Suites and backends mixed, more listeners than the batch holds at once, every length: the same bytes as one at a time.
    @Test func batchIsAsSingle() throws {
        var random = Random(seed: 11)
        let batch = try SRTPBatch()
        let room = 1_200
        let listeners = try Self.listeners(500, &random, room: room)
        defer { for listener in listeners { listener.out.deallocate() } }
        for number in 0..<60 {
            let length = number < 40 ? number : Int.random(in: 0...room, using: &random)
            let payload = random.bytes(length)
            var plain: [[UInt8]] = []
            payload.withUnsafeBytes { payload in
                for (place, listener) in listeners.enumerated() {
                    let header = Packets.rtp(&random, sequence: UInt16(number + place), payload: 0)
                    plain.append(header + Array(payload))
                    for index in listener.out.indices { listener.out[index] = 0xee }
                    listener.out.copyBytes(from: header)
                    guard let out = listener.out.baseAddress else { continue }
                    #expect(batch.add(listener.sender.reference, payload: payload, out: out))
                }
                batch.flush()
            }
            for (place, listener) in listeners.enumerated() {
                let end = 12 + length + listener.sender.suite.tagBytes
                let protected = Array(listener.out[..<end])
                #expect(protected == (try listener.twin.protected(plain[place])), "listener \(place), \(length) bytes")
                #expect(try listener.receiver.plain(protected) == plain[place])
                // Nothing is written behind the tag.
                #expect(listener.out[end..<end + 8].allSatisfy { $0 == 0xee })
            }
        }
    }

    /// Any number in a batch, each with a payload of its own length, more than the queues hold too.
    @Test(arguments: SRTPSuite.allCases)
    func everyNumber(_ suite: SRTPSuite) throws {
        var random = Random(seed: 15)
        let batch = try SRTPBatch()
        let most = 300
        let keys = try (0..<most).map { _ in try random.key(suite) }
        let senders = try keys.map { try SRTPSender($0) }
        let twins = try keys.map { try SRTPSender($0, backend: .openSSL) }
        let counts = [1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 255, 256, 257, most] + Array(20..<60)
        for (round, count) in counts.enumerated() {
            let plain = (0..<count).map { _ in
                Packets.rtp(&random, sequence: UInt16(round), payload: Int.random(in: 1...300, using: &random))
            }
            let payloads = plain.map { packet -> UnsafeMutableRawBufferPointer in
                let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count - 12, alignment: 1)
                payload.copyBytes(from: packet[12...])
                return payload
            }
            let outs = plain.map { packet -> UnsafeMutableRawBufferPointer in
                let out = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count + suite.tagBytes, alignment: 1)
                out.copyBytes(from: packet[..<12])
                return out
            }
            defer { for memory in payloads + outs { memory.deallocate() } }
            for place in 0..<count {
                guard let out = outs[place].baseAddress else { continue }
                #expect(batch.add(senders[place].reference, payload: UnsafeRawBufferPointer(payloads[place]), out: out))
            }
            batch.flush()
            for place in 0..<count { #expect(Array(outs[place]) == (try twins[place].protected(plain[place]))) }
        }
    }

    /// A keystream is never used twice: what was sent is refused, in a batch and alone; what others overtook goes out once.
    @Test(arguments: InteroperabilityTests.ways)
    func noSequenceIsUsedTwice(_ suite: SRTPSuite, _ backend: SRTPBackend) throws {
        var random = Random(seed: 12)
        let (sender, batch) = (try SRTPSender(try random.key(suite), backend: backend), try SRTPBatch())
        func add(_ sequence: UInt16, ssrc: UInt32 = 7) -> Bool {
            var out = Packets.rtp(&random, sequence: sequence, ssrc: ssrc, payload: 60)
            let payload = random.bytes(20)
            return out.withUnsafeMutableBytes { out in
                payload.withUnsafeBytes { payload in
                    defer { batch.flush() }
                    return out.baseAddress.map { batch.add(sender.reference, payload: payload, out: $0) } ?? false
                }
            }
        }
        #expect(add(100))
        #expect(!add(100))
        #expect(!add(99))
        #expect(!add(100 &+ 0x8000))
        #expect(add(100 + 0x7fff))
        #expect(add(50_000))
        #expect(add(10))
        #expect(sender.rolloverCounter(ssrc: 7) == 1)
        #expect(sender.lastSequence(ssrc: 7) == 10)
        #expect(throws: SRTPError.sequence) { try sender.protected(Packets.rtp(&random, sequence: 10, ssrc: 7, payload: 20)) }
        // Another room's SSRC begins with 0, and this one goes on where it was.
        #expect(sender.lastSequence(ssrc: 8) == nil)
        #expect(add(5, ssrc: 8))
        #expect(sender.rolloverCounter(ssrc: 8) == 0)
        #expect(!add(10))
        #expect(add(11))
        #expect(sender.rolloverCounter(ssrc: 7) == 1)
        #expect(!add(5, ssrc: 8))
        #expect(add(6, ssrc: 8))
        #expect(add(70, ssrc: 8))
        #expect(add(68, ssrc: 8))
        #expect(!add(68, ssrc: 8))
        #expect(add(7, ssrc: 8), "63 behind")
        #expect(!add(5, ssrc: 8))
        #expect(add(71, ssrc: 8))
        #expect(sender.lastSequence(ssrc: 8) == 71)
    }

    /// Rooms change, floors are dual: all SSRCs of a sender are remembered, up to a bound.
    @Test func manyStreams() throws {
        var random = Random(seed: 13)
        let key = try random.key(.aeadAES128GCM)
        let (sender, inbound) = (try SRTPSender(key), try Yardstick(key, sending: false))
        for round in 0..<3 {
            for ssrc in 1...UInt32(256) {
                let packet = Packets.rtp(&random, sequence: UInt16(round * 30_000 + 5_000 & 0xffff), ssrc: ssrc, payload: 10)
                #expect(try inbound.unprotect(try sender.protected(packet)) == packet)
            }
        }
        #expect(throws: SRTPError.tooManySources) { try sender.protected(Packets.rtp(&random, sequence: 1, ssrc: 9_999, payload: 10)) }
        #expect(sender.lastSequence(ssrc: 1) == 65_000)
        #expect(sender.lastSequence(ssrc: 256) == 65_000)
    }

    @Test func whatCannotBeProtected() throws {
        var random = Random(seed: 14)
        let sender = try SRTPSender(try random.key(.aesCM128HMACSHA1))
        let whole = Packets.rtp(&random, sequence: 1, payload: 0, csrcs: 3, extensionWords: 2)
        for length in 0..<whole.count {
            #expect(throws: SRTPError.malformed) { try sender.protected(Array(whole[..<length])) }
        }
        for length in 0..<8 { #expect(throws: SRTPError.malformed) { try sender.protectedRTCP([UInt8](repeating: 0x80, count: length)) } }
        var room = whole
        #expect(throws: SRTPError.noRoom) {
            try room.withUnsafeMutableBytes { bytes throws in try sender.protect(bytes, count: whole.count) }
        }
        #expect(sender.lastSequence(ssrc: 0x1234_5678) == nil)
        for backend in SRTPBackend.allCases where !backend.isAvailable {
            #expect(throws: SRTPError.library) { try SRTPSender(try random.key(.aeadAES128GCM), backend: backend) }
        }
        #expect(SRTPBackend.best.isAvailable)
        #expect(!SRTPBackend.best.name.isEmpty)
    }
}
