import AudioCodecs
import Mixer
import Talk
import TestTraits
import Testing

/// A participant that sends a tone.
final class Speaker {
    private var encoder: OpusEncoder
    private var phase = 0
    private(set) var sequence: UInt16 = 65_000

    init() throws { encoder = try OpusEncoder(sampleRate: 48_000, bitrate: 32_000, fec: true) }

    /// 20 ms of a triangle wave: no libm is needed to tell the pitches apart.
    func speak(_ frequency: Double, _ level: Double) throws -> [UInt8] {
        let period = 48_000 / frequency
        var pcm: [Int16] = []
        for index in phase..<phase + 960 {
            let place = Double(index).truncatingRemainder(dividingBy: period) / period
            let wave = place < 0.5 ? 4 * place - 1 : 3 - 4 * place
            pcm.append(Int16(level * wave))
        }
        phase += 960
        sequence &+= 1
        return try encoder.encode(pcm)
    }
}

/// How much of a frequency is in a signal (Goertzel), relative to its energy.
func share(of frequency: Double, in samples: [Int16]) -> Double {
    // cos by its series: exact enough for these angles.
    let angle = 2 * 3.141592653589793 * frequency / 48_000
    let cosine = 1 - angle * angle / 2 + angle * angle * angle * angle / 24
    var (one, two) = (0.0, 0.0)
    var energy = 1.0
    for sample in samples {
        let value = Double(sample) + 2 * cosine * one - two
        (two, one) = (one, value)
        energy += Double(sample) * Double(sample)
    }
    return (one * one + two * two - 2 * cosine * one * two) / (energy * Double(samples.count))
}

private final class Room {
    let mixer = RoomMixer()
    var now: Int64 = 0
    private var speakers: [Int64: Speaker] = [:]
    var started: [Int64] = []
    var stopped: [Int64] = []
    var common: [[UInt8]] = []
    var own: [Int64: [[UInt8]]] = [:]

    /// 20 ms in which these talk: number, frequency, level.
    func step(_ talking: [(Int64, Double, Double)], lose: Bool = false) throws {
        for (number, frequency, level) in talking {
            let speaker = try speakers[number] ?? Speaker()
            speakers[number] = speaker
            let packet = try speaker.speak(frequency, level)
            guard !lose, let uid = UserID(number) else { continue }
            packet.withUnsafeBytes { mixer.push(uid, sequence: speaker.sequence, payload: $0, level: nil, now: now) }
        }
        let output = mixer.tick(now)
        started += output.started.map(\.value)
        stopped += output.stopped.map(\.uid.value)
        if let payload = output.common { common.append(payload) }
        for (uid, payload) in output.own { own[uid.value, default: []].append(payload) }
        now += RoomMixer.tickNs
    }

    static func decoded(_ packets: [[UInt8]]) throws -> [Int16] {
        var decoder = try OpusDecoder(sampleRate: 48_000)
        var pcm: [Int16] = []
        for packet in packets { try decoder.decode(packet, into: &pcm) }
        return pcm
    }
}

@Suite(.oneAtATime) struct RoomMixerTests {
    @Test func everybodyHearsTheOthersAndNotThemselves() throws {
        let room = Room()
        for _ in 0..<60 { try room.step([(1, 400, 9_000), (2, 1_000, 9_000)]) }
        #expect(room.started.sorted() == [1, 2] && room.stopped.isEmpty)
        let all = try Room.decoded(Array(room.common.dropFirst(15)))
        #expect(share(of: 400, in: all) > 0.1 && share(of: 1_000, in: all) > 0.1)
        let first = try Room.decoded(Array((room.own[1] ?? []).dropFirst(15)))
        #expect(share(of: 400, in: first) < 0.02 && share(of: 1_000, in: first) > 0.2)
        let second = try Room.decoded(Array((room.own[2] ?? []).dropFirst(15)))
        #expect(share(of: 1_000, in: second) < 0.02 && share(of: 400, in: second) > 0.2)
    }

    @Test func onlyTheLoudestFewAreHeard() throws {
        let room = Room()
        var talking: [(Int64, Double, Double)] = []
        for number in 1...8 { talking.append((Int64(number), Double(300 + 100 * number), Double(2_000 + 1_000 * number))) }
        for _ in 0..<60 { try room.step(talking) }
        #expect(Set(room.started).isSuperset(of: [5, 6, 7, 8]))
        #expect(Set(room.own.filter { $0.value.count > 40 }.keys).count <= RoomMixer.loudest)
    }

    @Test func silenceSendsNothing() throws {
        let room = Room()
        for _ in 0..<30 { try room.step([(1, 400, 9_000)]) }
        let before = room.common.count
        for _ in 0..<60 { try room.step([(1, 400, 0)]) }
        #expect(room.stopped == [1])
        let after = room.common.count
        #expect(after - before < 60)
        for _ in 0..<30 { try room.step([]) }
        #expect(room.common.count == after)
        for _ in 0..<260 { try room.step([]) }
        #expect(room.mixer.isIdle, "who sends nothing is forgotten")
    }

    @Test func lossesAreConcealed() throws {
        let room = Room()
        for index in 0..<100 { try room.step([(1, 500, 9_000)], lose: index % 10 == 9) }
        #expect(room.stopped.isEmpty)
        let all = try Room.decoded(Array(room.common.dropFirst(15)))
        #expect(share(of: 500, in: all) > 0.2)
    }

    @Test func filesThatArePlayedAreMixedWhoeverTalks() throws {
        let room = Room()
        let (gong, hymn) = (try Speaker(), try Speaker())
        var talking: [(Int64, Double, Double)] = []
        for number in 1...4 as ClosedRange<Int64> { talking.append((number, 300, 1_000)) }
        for _ in 0..<60 {
            for (file, speaker, frequency) in [("gong", gong, 700.0), ("hymn", hymn, 1_100)] {
                room.mixer.push(file: file, sequence: speaker.sequence, payload: try speaker.speak(frequency, 3_000), now: room.now)
            }
            try room.step(talking)
        }
        #expect(room.started.sorted() == [1, 2, 3, 4])
        for heard in [room.common, room.own[1] ?? []] {
            let all = try Room.decoded(Array(heard.dropFirst(15)))
            #expect(share(of: 700, in: all) > 0.02 && share(of: 1_100, in: all) > 0.02 && share(of: 300, in: all) > 0.05)
        }
        room.mixer.remove(file: "gong")
        room.common = []
        for _ in 0..<60 {
            room.mixer.push(file: "hymn", sequence: hymn.sequence, payload: try hymn.speak(1_100, 3_000), now: room.now)
            try room.step([])
        }
        // What was said before it hangs on for a moment.
        let rest = try Room.decoded(Array(room.common.dropFirst(30)))
        #expect(share(of: 1_100, in: rest) > 0.2 && share(of: 700, in: rest) < 0.01)
        room.common = []
        for _ in 0..<260 { try room.step([]) }
        #expect(room.common.count < 20 && room.mixer.isIdle)
    }

    @Test func manyLoudOnesDoNotClip() throws {
        let room = Room()
        for _ in 0..<60 { try room.step([(1, 400, 30_000), (2, 410, 30_000), (3, 420, 30_000)]) }
        let all = try Room.decoded(Array(room.common.dropFirst(20)))
        #expect(all.filter { abs(Int($0)) >= 32_767 }.count < all.count / 100)
    }
}
