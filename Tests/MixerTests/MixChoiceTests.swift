import AudioCodecs
import Mixer
import Talk
import TestTraits
import Testing

/// Whom a room listens to where more people send than it decodes.
@Suite(.oneAtATime) struct MixChoiceTests {
    /// What a packet says about its loudness without being decoded.
    enum Hint: CaseIterable {
        /// RFC 6464.
        case level
        /// An encoder that spends less on silence.
        case size
        /// All packets are of one size.
        case none
    }

    /// People who send a packet every 20 ms, whether they say something or not.
    private final class Crowd {
        let mixer = RoomMixer()
        private let hint: Hint
        private let silence: [UInt8]
        private var now: Int64 = 0
        private var sequence: UInt16 = 0

        init(_ hint: Hint) throws {
            self.hint = hint
            silence = try Speaker().speak(400, 0)
        }

        /// 20 ms in which these say something, at −25 dBov, and the others say that they are as loud as that.
        func step(_ people: ClosedRange<Int64>, _ talking: [Int64: [UInt8]] = [:], level: UInt8 = 90) throws -> RoomMixer.Output {
            sequence &+= 1
            for number in people {
                let (uid, packet) = (try #require(UserID(number)), talking[number] ?? silence)
                (hint == .none ? Self.padded(packet, to: 200) : packet).withUnsafeBytes {
                    let level = talking[number] == nil ? level : 25
                    mixer.push(uid, sequence: sequence, payload: $0, level: hint == .level ? level : nil, now: now)
                }
            }
            defer { now += RoomMixer.tickNs }
            return mixer.tick(now)
        }

        /// The packet with Opus's padding (RFC 6716, 3.2.5): code 3, one frame.
        private static func padded(_ packet: [UInt8], to size: Int) -> [UInt8] {
            let padding = size - packet.count - 2
            return [packet[0] | 3, 0x41, UInt8(padding)] + packet.dropFirst() + [UInt8](repeating: 0, count: padding)
        }
    }

    @Test(arguments: Hint.allCases, [1, 40] as [Int64]) func whoBeginsToTalkAmongManyIsHeardAtOnce(_ hint: Hint, _ number: Int64) throws {
        let crowd = try Crowd(hint)
        for _ in 0..<25 { #expect(try crowd.step(1...40).started.isEmpty) }
        let speaker = try Speaker()
        var heardAfter: Int?
        for tick in 0..<20 where heardAfter == nil {
            let started = try crowd.step(1...40, [number: speaker.speak(500, 6_000)]).started
            if started.map(\.value) == [number] { heardAfter = tick }
        }
        #expect(try #require(heardAfter) < 10, "200 ms")
    }

    /// Some say that they are loud, and are not.
    @Test func whoIsFalselyLoudKeepsNobodyOut() throws {
        let crowd = try Crowd(.level)
        for _ in 0..<50 { #expect(try crowd.step(1...30, level: 0).started.isEmpty) }
        let speaker = try Speaker()
        var heardAfter: Int?
        for tick in 0..<40 where heardAfter == nil {
            if try !crowd.step(1...30, [7: speaker.speak(500, 6_000)], level: 0).started.isEmpty { heardAfter = tick }
        }
        #expect(try #require(heardAfter) < 10)
    }

    /// Who was not listened to is heard with what they say now, not with what they said then.
    @Test func whoWasLeftOutIsHeardAtRealTime() throws {
        let mixer = RoomMixer()
        let (last, silent, silence) = (try #require(UserID(1)), try Speaker(), try Speaker().speak(400, 0))
        var common: [[UInt8]] = []
        var now: Int64 = 0
        func step(_ frequency: Double, level: UInt8) throws {
            let packet = try silent.speak(frequency, 6_000)
            packet.withUnsafeBytes { mixer.push(last, sequence: silent.sequence, payload: $0, level: level, now: now) }
            // They seem to talk: one who seems not to is never listened to.
            for number in 2...40 as ClosedRange<Int64> {
                let uid = try #require(UserID(number))
                silence.withUnsafeBytes { mixer.push(uid, sequence: silent.sequence, payload: $0, level: 20, now: now) }
            }
            if let payload = mixer.tick(now).common { common.append(payload) }
            now += RoomMixer.tickNs
        }
        for _ in 0..<500 { try step(400, level: 127) }
        #expect(common.isEmpty)
        for _ in 0..<50 { try step(1_000, level: 20) }
        #expect(common.count > 40)
        var decoder = try OpusDecoder(sampleRate: RoomMixer.sampleRate)
        var heard: [Int16] = []
        for packet in common { try decoder.decode(packet, into: &heard) }
        #expect(share(of: 1_000, in: heard) > 0.2 && share(of: 400, in: heard) < 0.01)
    }

    /// Many who talk at once: those who are heard go on being heard.
    @Test func whoIsHeardStaysHeard() throws {
        let crowd = try Crowd(.level)
        var speakers: [Int64: Speaker] = [:]
        for number in 1...20 as ClosedRange<Int64> { speakers[number] = try Speaker() }
        var (started, stopped) = (0, 0)
        for _ in 0..<100 {
            var talking: [Int64: [UInt8]] = [:]
            for (number, speaker) in speakers { talking[number] = try speaker.speak(Double(300 + 20 * number), 5_000) }
            let output = try crowd.step(1...20, talking)
            (started, stopped) = (started + output.started.count, stopped + output.stopped.count)
        }
        #expect(started <= RoomMixer.loudest + 2 && started - stopped == RoomMixer.loudest)
    }
}
