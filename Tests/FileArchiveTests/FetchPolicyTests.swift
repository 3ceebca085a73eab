import Testing

@testable import FileArchive

@Suite struct FetchPolicyTests {
    @Test(arguments: [
        ("http://h:1/spool/a.mp3", true), ("http://h:1/spool/../secret", false), ("http://h:1/spool/%2e%2e/secret", false),
        ("http://h:1/spoolx/a.mp3", false), ("http://h:1@evil/spool/a.mp3", false), ("http://h:1/spool/", false),
        ("http://h:1/spool/a b.mp3", false), ("https://h:1/spool/a.mp3", false), ("/srv/old/a.mp3", true),
        ("file:///srv/old/x/a.mp3", true),
        ("/srv/old/../a.mp3", false), ("/srv/older/a.mp3", false), ("ftp://h/a", false), ("", false),
    ])
    func onlyAllowedPlaces(_ path: String, _ isAllowed: Bool) {
        let policy = FetchPolicy(allow: ["http://h:1/spool", "file:///srv/old"])
        #expect((policy.source(path) != nil) == isAllowed)
    }

    @Test func waitsDouble() {
        #expect([1, 2, 3, 10, 11, 1000].map { FetchPolicy.backoffMs(afterFailures: $0) } == [1000, 2000, 4000, 512_000, 600_000, 600_000])
    }

    @Test(arguments: [
        ([UInt8]("ID3\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}".utf8), true), ([0xff, 0xf3, 0x48, 0xc4], true), ([0xff, 0xfb, 0x90, 0], true),
        ([0xff, 0xfb, 0xf0, 0], false), ([0xff, 0xf9, 0x50, 0x80], false), (Array("<htm".utf8), false), ([], false),
    ])
    func mp3sAreTold(_ head: [UInt8], _ isMP3: Bool) { #expect(FetchPolicy.isMP3(head) == isMP3) }
}
