import AudioCodecs
import Mixer
import Talk
import TestTraits
import Testing

/// Two voices as one stream.
@Suite(.oneAtATime) struct PairMixerTests {
    /// What a listener hears of so many steps, the first 200 ms left out.
    private func heard(_ mixer: PairMixer, _ steps: Int, _ talking: [(UserID, Speaker, Double)], now: inout Int64) throws -> [Int16] {
        var decoder = try OpusDecoder(sampleRate: 48_000)
        var samples: [Int16] = []
        for _ in 0..<steps {
            for (uid, speaker, frequency) in talking {
                let packet = try speaker.speak(frequency, 6_000)
                packet.withUnsafeBytes { mixer.push(uid, sequence: speaker.sequence, payload: $0, now: now) }
            }
            if let payload = mixer.tick(now) { try decoder.decode(payload, into: &samples) }
            now += RoomMixer.tickNs
        }
        return Array(samples.dropFirst(9_600))
    }

    @Test func bothAreHeardAndThenTheOneWhoIsLeft() throws {
        let (holder, owner) = (try #require(UserID(1)), try #require(UserID(2)))
        let (first, second) = (try Speaker(), try Speaker())
        let mixer = PairMixer()
        var now: Int64 = 0
        #expect(mixer.tick(now) == nil)
        let both = try heard(mixer, 50, [(holder, first, 440), (owner, second, 1_000)], now: &now)
        #expect(share(of: 440, in: both) > 0.15 && share(of: 1_000, in: both) > 0.15)
        mixer.remove(owner)
        let one = try heard(mixer, 50, [(holder, first, 440)], now: &now)
        #expect(share(of: 440, in: one) > 0.3 && share(of: 1_000, in: one) < 0.01)
        mixer.remove(holder)
        #expect(mixer.tick(now) == nil)
    }

    @Test func twoLoudVoicesDoNotClip() throws {
        let (first, second) = (try Speaker(), try Speaker())
        let mixer = PairMixer()
        var decoder = try OpusDecoder(sampleRate: 48_000)
        var samples: [Int16] = []
        for step in 0..<50 {
            for (number, speaker) in [(Int64(1), first), (2, second)] {
                let packet = try speaker.speak(440, 30_000)
                packet.withUnsafeBytes { bytes in
                    if let uid = UserID(number) {
                        mixer.push(uid, sequence: speaker.sequence, payload: bytes, now: Int64(step) * RoomMixer.tickNs)
                    }
                }
            }
            if let payload = mixer.tick(Int64(step) * RoomMixer.tickNs) { try decoder.decode(payload, into: &samples) }
        }
        let flat = zip(samples, samples.dropFirst()).filter { $0 == $1 && abs(Int($0)) > 32_700 }.count
        #expect(samples.count > 40_000 && flat < samples.count / 100, "the tops are not cut off")
    }
}
