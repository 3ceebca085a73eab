import Kafka
import Testing

@Suite struct Murmur2Tests {
    // The vectors of Kafka's own UtilsTest.testMurmur2.
    @Test(
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829), ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] as [(String, Int32)])
    func hashesAsJavaDoes(_ key: String, _ expected: Int32) {
        #expect(Int32(bitPattern: Murmur2.hash(key.utf8)) == expected)
    }

    @Test func partitionsStayInRange() {
        for gid: Int64 in 1...1000 { #expect((0..<12).contains(Murmur2.partition(gid: gid, count: 12))) }
        #expect(Murmur2.partition(key: [], count: 0) == 0)
    }
}
