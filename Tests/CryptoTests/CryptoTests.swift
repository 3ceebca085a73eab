import Glibc
import Testing

@testable import Crypto

@Suite struct CryptoTests {
    // RFC 1321 A.5, FIPS 180-4's example "abc".
    @Test(arguments: [
        (HashFunction.md5, "900150983cd24fb0d6963f7d28e17f72"), (.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func digests(_ function: HashFunction, _ expected: String) {
        #expect(Digests.hex(Digests.hash(function, Array("abc".utf8))) == expected)
        var hasher = Hasher(function)
        hasher.update(Array("a".utf8))
        hasher.update(Array("bc".utf8))
        #expect(Digests.hex(hasher.finish()) == expected)
    }

    @Test func hmacOfRFC2202() {
        let digest = Digests.hmacSHA1(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        #expect(Digests.hex(digest) == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
        // Test case 6: a key longer than a block.
        let long = Digests.hmacSHA1(
            key: [UInt8](repeating: 0xAA, count: 80), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8))
        #expect(Digests.hex(long) == "aa4ae5e15272d00e95705637ce8a3b55ed402112")
    }

    @Test func uuidsOfNames() {
        // As Python's uuid.uuid5(uuid.NAMESPACE_URL, …) says.
        #expect(Digests.uuidV5(url: "https://example.org/") == "527dda32-a0de-5105-a042-cb475b5f7d11")
    }

    @Test func filesAreHashed() {
        let name = "/tmp/talkburst-crypto-\(getpid())"
        let descriptor = open(name, O_CREAT | O_RDWR | O_TRUNC, 0o600)
        #expect(write(descriptor, "abc", 3) == 3)
        close(descriptor)
        let result = Digests.hash(.md5, file: name)
        #expect(result?.size == 3 && result.map { Digests.hex($0.digest) } == "900150983cd24fb0d6963f7d28e17f72")
        unlink(name)
        #expect(Digests.hash(.md5, file: name) == nil)
    }
}
