import Foundation
import SecureRTP
import Testing

/// What a packet and a listener cost, printed and not judged:
/// `TALKBURST_BENCH=1 swift test -c release -Xswiftc -enable-testing --filter SecureRTPTests.CostTests`
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["TALKBURST_BENCH"] != nil))
struct CostTests {
    private static func nanoseconds(_ rounds: Int, _ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        let best = (0..<9).map { _ in clock.measure { for _ in 0..<rounds { body() } } }.min() ?? .zero
        return Double(best.components.attoseconds) / 1e9 / Double(rounds)
    }

    @Test(arguments: InteroperabilityTests.ways)
    func packetToAThousandListeners(_ suite: SRTPSuite, _ backend: SRTPBackend) throws {
        let (listeners, length) = (1_000, 100)
        let senders = try (0..<listeners).map { _ in try SRTPSender(try SRTPKey.random(suite), backend: backend) }
        let references = senders.map(\.reference)
        let batch = try SRTPBatch()
        let stride = 192
        let arena = UnsafeMutableRawBufferPointer.allocate(byteCount: listeners * stride, alignment: 64)
        let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 64)
        defer {
            arena.deallocate()
            payload.deallocate()
        }
        arena.initializeMemory(as: UInt8.self, repeating: 0x80)
        payload.initializeMemory(as: UInt8.self, repeating: 0x55)
        guard let start = arena.baseAddress else { return }
        var (sequence, refused): (UInt16, Int) = (0, 0)
        let cost = Self.nanoseconds(200) {
            sequence &+= 1
            for place in 0..<listeners {
                let out = start + place * stride
                out.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
                if !batch.add(references[place], payload: UnsafeRawBufferPointer(payload), out: out) { refused += 1 }
            }
            batch.flush()
        }
        #expect(refused == 0)
        let each = String(format: "%.1f", cost / Double(listeners))
        print("\(suite.sdesName), \(backend.name): \(each) ns a packet of \(length) bytes for each of \(listeners) listeners")
        withExtendedLifetime(senders) {}
    }

    /// Resident memory of many listeners that have sent one RTCP packet, and then one RTP packet.
    @Test func memoryOfAListener() throws {
        func resident() -> Int {
            let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
            return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4_096 : 0
        }
        var random = Random(seed: 41)
        let count = 20_000
        // All are kept, so that none lives in what another left.
        var pairs: [(SRTPSender, SRTPReceiver)] = []
        pairs.reserveCapacity(count * InteroperabilityTests.ways.count)
        for (suite, backend) in InteroperabilityTests.ways {
            let key = try SRTPKey.random(suite)
            let peer = try SRTPSender(key)
            let report = try peer.protectedRTCP(Packets.rtcp(&random, words: 6))
            let packet = try peer.protected(Packets.rtp(&random, sequence: 1, payload: 100))
            let before = resident()
            for _ in 0..<count {
                pairs.append((try SRTPSender(key, backend: backend), try SRTPReceiver(key)))
                _ = try pairs[pairs.count - 1].1.plainRTCP(report)
            }
            let listening = (resident() - before) / count
            for pair in pairs.suffix(count) { _ = try pair.1.plain(packet) }
            print("\(suite.sdesName), \(backend.name): \(listening) bytes a listener, \((resident() - before) / count) once it talked")
        }
        withExtendedLifetime(pairs) {}
    }
}
