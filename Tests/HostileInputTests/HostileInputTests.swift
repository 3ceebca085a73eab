import Foundation
import FuzzBodies
import TestTraits
import Testing

/// Every parser of what comes from a network, fed with the corpus of the fuzzers and with thousands of mutations of good input: nothing may
/// trap, and what is read must hold together. The seed is in the test's name; the same seed gives the same input.
@Suite(.oneAtATime) struct HostileInputTests {
    /// A generator whose seed gives the same inputs again (SplitMix64).
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }

    /// Flips, cuts, doubles and inserts bytes of a good input.
    private static func mutated(_ seeds: [[UInt8]], _ random: inout Random) -> [UInt8] {
        var bytes = seeds[Int.random(in: 0..<seeds.count, using: &random)]
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1 where place < bytes.count: bytes[place] = [0, 0x7F, 0x80, 0xFF, 0x22, 0x7B].randomElement(using: &random) ?? 0
            case 2: bytes = Array(bytes.prefix(place))
            case 3: bytes.insert(UInt8.random(in: 0 ... .max, using: &random), at: place)
            default: bytes += bytes.suffix(min(64, place))
            }
        }
        return bytes
    }

    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(
        path: "Fuzz/corpus")

    @Test(arguments: FuzzTarget.all.map(\.name), 1...4 as ClosedRange<UInt64>) func mutations(name: String, seed: UInt64) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        var random = Random(state: seed)
        // Text parsers cost a hundred times what binary ones do.
        let isSlow = target.seeds.contains { $0.first == 0x7B } || ["dtls", "peer", "sdp", "srtp"].contains(name)
        for _ in 0..<(isSlow ? 2_000 : 20_000) { target.body(Self.mutated(target.seeds, &random)) }
    }

    @Test(arguments: FuzzTarget.all.map(\.name)) func corpus(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        for seed in target.seeds { target.body(seed) }
        let folder = Self.corpus.appending(path: name)
        for file in (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [] {
            target.body(Array(try Data(contentsOf: file)))
        }
    }
}
