import RTP
import Testing

@Suite struct JitterBufferTests {
    private static let frame: Int64 = 20_000_000

    @Test func reorderingIsPutRight() {
        var buffer = JitterBuffer()
        for sequence in [65_534, 0, 65_535, 0, 1] as [UInt16] {
            buffer.insert(sequence: sequence, payload: [UInt8(sequence & 0xFF)], at: 0)
        }
        #expect((0..<4).map { _ in buffer.pop(at: 0) } == [.packet([254]), .packet([255]), .packet([0]), .packet([1])])
    }

    @Test func itWaitsForAFewAndLongerForTheLate() {
        var buffer = JitterBuffer()
        buffer.insert(sequence: 1, payload: [1], at: 0)
        #expect(buffer.pop(at: 0) == .nothing)
        buffer.insert(sequence: 2, payload: [2], at: 0)
        #expect(buffer.pop(at: 0) == .packet([1]) && buffer.pop(at: 0) == .packet([2]))
        buffer.insert(sequence: 4, payload: [4], at: 0)
        #expect(buffer.pop(at: 0) == .recover(from: [4]))
        buffer.insert(sequence: 3, payload: [3], at: 0)
        #expect(buffer.late == 1)
        #expect(buffer.pop(at: 0) == .packet([4]))
    }

    @Test func aSourceThatBeganAnewIsFollowed() {
        var buffer = JitterBuffer()
        for sequence in 10...12 as ClosedRange<UInt16> { buffer.insert(sequence: sequence, payload: [1], at: 0) }
        for sequence in 40_000...40_002 as ClosedRange<UInt16> { buffer.insert(sequence: sequence, payload: [2], at: 0) }
        #expect(buffer.pop(at: 0) == .packet([2]))
    }

    /// A buffer that is seldom asked keeps what came last, in order.
    @Test func whatNobodyTakesIsLetGo() {
        var buffer = JitterBuffer()
        for number in 0..<500 as Range<UInt16> {
            buffer.insert(sequence: number, payload: [UInt8(number & 255)], at: Int64(number) * Self.frame)
            #expect(buffer.count <= JitterBuffer.capacity)
        }
        buffer.catchUp(at: 500 * Self.frame)
        #expect(buffer.pop(at: 500 * Self.frame) == .packet([UInt8(498 & 255)]), "no further behind than one that is asked all the time")
        #expect(buffer.pop(at: 501 * Self.frame) == .packet([UInt8(499 & 255)]))
    }

    @Test func whatIsOldIsLetGo() {
        var buffer = JitterBuffer()
        for number in 1...3 as ClosedRange<UInt16> { buffer.insert(sequence: number, payload: [1], at: 0) }
        #expect(buffer.pop(at: 0) == .packet([1]))
        #expect(buffer.pop(at: 2_000_000_000) == .conceal && buffer.count == 0)
        // It goes on behind what was let go.
        for number in 4...5 as ClosedRange<UInt16> { buffer.insert(sequence: number, payload: [2], at: 2_000_000_000) }
        #expect(buffer.pop(at: 2_020_000_000) == .packet([2]))
    }

    /// Six times more than it can play: what is played is what came within the last moments.
    @Test func aFloodOfLongPacketsStaysBoundedAndAtRealTime() {
        var buffer = JitterBuffer()
        var (now, sent): (Int64, UInt16) = (0, 0)
        var sentAt: [UInt8: Int64] = [:]
        for tick in 0..<3_000 as Range<Int64> {
            now = tick * Self.frame
            // 120 packets a second of 120 ms each.
            for _ in 0..<(tick % 5 < 2 ? 3 : 2) {
                sent &+= 1
                sentAt[UInt8(sent & 255)] = now
                buffer.insert(sequence: sent, payload: [UInt8(sent & 255)], at: now)
            }
            #expect(buffer.count <= JitterBuffer.capacity)
            if tick % 6 == 0, case .packet(let payload) = buffer.pop(at: now), let at = sentAt[payload[0]] {
                #expect(now - at <= 500_000_000)
            }
        }
        // And when it ends, that is soon over.
        var rest = 0
        for tick in 1...60 as ClosedRange<Int64> where tick % 6 == 0 {
            if case .packet = buffer.pop(at: now + tick * Self.frame) { rest += 1 }
        }
        #expect(rest <= 5 && buffer.count == 0)
    }

    /// Packets of 120 ms that come with much jitter: the wait is not ten of them.
    @Test func noWaitIsLong() {
        var buffer = JitterBuffer()
        for sequence in [1, 2] as [UInt16] { buffer.insert(sequence: sequence, payload: [1], at: 0) }
        _ = (buffer.pop(at: 0), buffer.pop(at: 0))
        for number in stride(from: 3 as UInt16, to: 21, by: 2) {
            buffer.insert(sequence: number + 1, payload: [1], at: 0)
            _ = buffer.pop(at: 0)
            buffer.insert(sequence: number, payload: [1], at: 0)
            _ = buffer.pop(at: 0)
        }
        #expect(buffer.late == 9)
        buffer.catchUp(at: 1_000_000_000)
        buffer.insert(sequence: 50, payload: [5], at: 2_000_000_000)
        buffer.insert(sequence: 51, payload: [6], at: 2_120_000_000)
        #expect(buffer.pop(at: 2_120_000_000) == .nothing)
        #expect(buffer.pop(at: 2_200_000_000) == .packet([5]))
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>) func anyInputStaysBounded(seed: UInt64) {
        var buffer = JitterBuffer()
        var (state, now) = (seed, Int64(0))
        for _ in 0..<5_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            now += Int64(state >> 56) * 100_000
            switch state >> 40 & 15 {
            case 0..<8: buffer.insert(sequence: UInt16(truncatingIfNeeded: state >> 33 & 255), payload: [1], at: now)
            case 8: buffer.catchUp(at: now)
            default: _ = buffer.pop(at: now)
            }
            #expect(buffer.count <= JitterBuffer.capacity)
        }
    }
}
