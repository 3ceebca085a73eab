import Testing

@testable import RTP

@Suite struct ReceptionStatisticsTests {
    private static let frame: Int64 = 20_000_000

    /// Packets of 20 ms that arrive when they should.
    private func feed(_ statistics: inout ReceptionStatistics, _ sequences: some Sequence<Int>, ssrc: UInt32 = 1) {
        for sequence in sequences {
            statistics.packet(
                ssrc: ssrc, sequence: UInt16(truncatingIfNeeded: sequence), timestamp: UInt32(truncatingIfNeeded: sequence * 960),
                arrivalNs: Int64(sequence) * Self.frame)
        }
    }

    @Test func nothingCame() {
        let statistics = ReceptionStatistics()
        #expect(statistics.block(at: 0) == nil && statistics.expected == 0 && statistics.lost == 0)
        #expect(statistics.quality.percent == 100)
    }

    @Test func lossOfAnIntervalAndInAll() {
        var statistics = ReceptionStatistics()
        feed(&statistics, (0..<100).filter { $0 % 4 != 1 })
        #expect(statistics.expected == 100 && statistics.received == 75 && statistics.lost == 25)
        statistics.interval()
        #expect(statistics.block(at: 0)?.fractionLost == 64)
        #expect(statistics.block(at: 0)?.totalLost == 25)
        #expect(statistics.quality.percent == 75)
        feed(&statistics, 100..<200)
        statistics.interval()
        #expect(statistics.block(at: 0)?.fractionLost == 0)
        #expect(statistics.quality.percent == 83, "two thirds of 75 and a third of 100")
        statistics.interval()
        #expect(statistics.quality.percent == 83, "an interval without packets measures nothing")
        #expect(statistics.block(at: 0)?.fractionLost == 0)
    }

    @Test func duplicatesAndReorderingAreNoLoss() {
        var statistics = ReceptionStatistics()
        feed(&statistics, [0, 2, 1, 3, 3, 3])
        #expect(statistics.expected == 4 && statistics.received == 6 && statistics.lost == 0)
        statistics.interval()
        #expect(statistics.quality.percent == 100)
    }

    @Test func sequenceNumbersWrapIntoCycles() {
        var statistics = ReceptionStatistics()
        feed(&statistics, 65_530..<65_546)
        #expect(statistics.expected == 16 && statistics.lost == 0)
        #expect(statistics.block(at: 0)?.highestSequence == 0x0001_0009)
    }

    @Test func anotherSSRCStartsAnewButTheLinkStaysTheSame() {
        var statistics = ReceptionStatistics()
        feed(&statistics, (0..<10).filter { $0 % 2 == 0 || $0 == 9 })
        statistics.interval()
        let quality = statistics.quality
        feed(&statistics, 500..<510, ssrc: 2)
        #expect(statistics.ssrc == 2 && statistics.received == 10 && statistics.expected == 10)
        #expect(statistics.quality == quality)
    }

    /// RFC 3550 A.8: each difference weighs a sixteenth.
    @Test func jitterFollowsItsFormula() {
        var statistics = ReceptionStatistics()
        feed(&statistics, 0..<50)
        #expect(statistics.jitterMs == 0)
        // Every other packet comes 10 ms late: |D| is 480 units each time, and the jitter goes to it.
        for sequence in 50..<250 {
            statistics.packet(
                ssrc: 1, sequence: UInt16(sequence), timestamp: UInt32(sequence * 960),
                arrivalNs: Int64(sequence) * Self.frame + (sequence % 2 == 0 ? 10_000_000 : 0))
        }
        #expect(statistics.jitterMs == 10 || statistics.jitterMs == 9)
        #expect((470...480).contains(statistics.block(at: 0)?.jitter ?? 0))
    }

    @Test func thePauseBetweenBurstsIsNoJitter() {
        var statistics = ReceptionStatistics()
        feed(&statistics, 0..<5)
        statistics.burst()
        statistics.packet(ssrc: 1, sequence: 5, timestamp: 5 * 960, arrivalNs: 400_000_000)
        #expect(statistics.block(at: 0)?.jitter == 0)
        statistics.packet(ssrc: 1, sequence: 6, timestamp: 6 * 960, arrivalNs: 10_000_000_000)
        #expect(statistics.block(at: 0)?.jitter == 0, "a difference of seconds is a pause too")
    }

    /// Who sends all the time, or begins a new numbering with each burst, has lost nothing between two bursts; what is lost within counts.
    @Test(arguments: [505, 40_000, 2] as [UInt16]) func whatIsBetweenBurstsIsNotLost(_ start: UInt16) {
        var statistics = ReceptionStatistics()
        feed(&statistics, 0..<5)
        statistics.interval()
        statistics.burst()
        // Late, of the burst before.
        statistics.packet(ssrc: 1, sequence: 4, timestamp: 4 * 960, arrivalNs: 400_000_000)
        for offset in [0, 1, 2, 4, 5] as [UInt16] {
            statistics.packet(ssrc: 1, sequence: start &+ offset &+ 200, timestamp: UInt32(offset) * 960, arrivalNs: 10_000_000_000)
        }
        statistics.interval()
        #expect(statistics.lost == 0 && statistics.expected == 11, "a repeat and a loss weigh each other out")
        #expect(statistics.block(at: 0).map { UInt16(truncatingIfNeeded: $0.highestSequence) } == start &+ 205)
    }

    @Test(arguments: [5, 30, 5_000, 40_000, 70_000])
    func whatWasSentBetweenBurstsWasNotLost(_ start: Int) {
        var statistics = ReceptionStatistics()
        feed(&statistics, 0..<5)
        statistics.burst()
        feed(&statistics, (start..<start + 20).filter { $0 != start + 7 })
        #expect(statistics.expected == 25 && statistics.lost == 1)
        #expect(statistics.block(at: 0)?.highestSequence == UInt32(start + 19) % 65_536)
    }

    @Test func aPacketThatComesLateIntoABurstIsOneOfTheOldOnes() {
        var statistics = ReceptionStatistics()
        feed(&statistics, [0, 1, 3])
        statistics.burst()
        feed(&statistics, [2, 4, 5])
        #expect(statistics.expected == 6 && statistics.lost == 0 && statistics.block(at: 0)?.highestSequence == 5)
    }

    @Test func theSendersClockComesBack() throws {
        var statistics = ReceptionStatistics()
        feed(&statistics, 0..<2)
        #expect(statistics.block(at: 0)?.lastReport == 0)
        statistics.senderReport(ntp: 0x1111_2222_3333_4444, at: 1_000_000_000)
        let block = try #require(statistics.block(at: 1_500_000_000))
        #expect(block.lastReport == 0x2222_3333 && block.delaySinceLastReport == 32_768)
    }

    @Test func totalLostStaysIn24Bits() {
        var statistics = ReceptionStatistics()
        var sequence = 0
        for _ in 0..<600 {
            feed(&statistics, [sequence])
            sequence += 30_000
        }
        #expect(statistics.lost > 0x7F_FFFF)
        #expect(statistics.block(at: 0)?.totalLost == 0x7F_FFFF)
        statistics.interval()
        #expect(statistics.block(at: 0)?.fractionLost == 255)
    }
}

@Suite struct LinkQualityTests {
    /// Janus, rtcp.c: last × 2/3 + new / 3; the first one, and the one after nothing came through, count alone.
    @Test func isSmoothedAsJanusDoes() {
        var quality = LinkQuality()
        #expect(quality.percent == 100)
        quality.measure(lost: 50, of: 100)
        #expect(quality.percent == 50)
        quality.measure(lost: 0, of: 100)
        #expect(quality.percent == 67)
        quality.measure(lost: 0, of: 0)
        #expect(quality.percent == 67)
        var dead = LinkQuality()
        dead.measure(lost: 10, of: 10)
        #expect(dead.percent == 0)
        dead.measure(lost: 1, of: 10)
        #expect(dead.percent == 90)
    }
}

@Suite struct RemoteReceptionTests {
    private func block(_ highest: UInt32, lost: Int32, last: UInt32 = 0, delay: UInt32 = 0, jitter: UInt32 = 0) -> ReportBlock {
        ReportBlock(
            ssrc: 1, fractionLost: 0, totalLost: lost, highestSequence: highest, jitter: jitter, lastReport: last,
            delaySinceLastReport: delay)
    }

    @Test func roundTripIsNowLessReportLessDelay() {
        var remote = RemoteReception()
        let sent: UInt64 = 0xE000_0001_0000_0000
        // The report comes 0.25 s later; the listener kept ours for 0.125 s.
        remote.report(
            block(10, lost: 0, last: UInt32(truncatingIfNeeded: sent >> 16), delay: 65_536 / 8), nowNTP: sent + 0x4000_0000)
        #expect(remote.rttMs == 125)
        remote.report(block(20, lost: 0), nowNTP: sent + 0x8000_0000)
        #expect(remote.rttMs == 125, "no sender report came there: nothing is known")
    }

    @Test func aRoundTripOfAWrongClockIsNone() {
        var remote = RemoteReception()
        remote.report(block(10, lost: 0, last: 100_000, delay: 200_000), nowNTP: UInt64(100_001) << 16)
        #expect(remote.rttMs == 0)
        remote.report(block(10, lost: 0, last: 0xFFFF_FFF0, delay: 0), nowNTP: UInt64(0x1_0000_FFF0) << 16)
        #expect(remote.rttMs == 1_000, "the middle 32 bits wrap")
    }

    @Test func lossBetweenReports() {
        var remote = RemoteReception()
        remote.report(block(1_000, lost: 5, jitter: 480), nowNTP: 0)
        #expect(remote.quality.percent == 100 && remote.jitterMs == 10 && remote.lost == 5 && remote.received == 0)
        remote.report(block(1_100, lost: 25), nowNTP: 0)
        #expect(remote.quality.percent == 80 && remote.received == 80 && remote.lost == 25)
        remote.report(block(1_200, lost: 20), nowNTP: 0)
        #expect(remote.received == 180, "late packets make the total fall: no loss")
        #expect(remote.quality.percent == 87)
    }

    @Test func impossibleReportsMeasureNothing() {
        var remote = RemoteReception()
        remote.report(block(1_000, lost: 0), nowNTP: 0)
        remote.report(block(900, lost: 0), nowNTP: 0)
        remote.report(block(0xF000_0000, lost: Int32.min), nowNTP: 0)
        remote.report(block(0xF000_0001, lost: Int32.max), nowNTP: 0)
        #expect((0...100).contains(remote.quality.percent))
        #expect(remote.received >= 0)
    }
}
