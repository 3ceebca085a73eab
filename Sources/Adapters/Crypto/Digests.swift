import COpenSSL
import Glibc

/// A hash function of OpenSSL's.
public enum HashFunction: Sendable, CaseIterable {
    /// RFC 1321; for telling files apart, not for secrets.
    case md5
    /// FIPS 180-4; for UUIDv5 and STUN, not for secrets.
    case sha1
    /// FIPS 180-4.
    case sha256

    /// The length of a digest in bytes.
    public var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha256: 32
        }
    }

    fileprivate var implementation: OpaquePointer? {
        switch self {
        case .md5: EVP_md5()
        case .sha1: EVP_sha1()
        case .sha256: EVP_sha256()
        }
    }
}

/// A hash that grows with its input; each has one owner.
public struct Hasher: ~Copyable {
    private let context: OpaquePointer?
    private let byteCount: Int

    /// A hash of nothing yet.
    public init(_ function: HashFunction) {
        context = EVP_MD_CTX_new()
        byteCount = function.byteCount
        EVP_DigestInit_ex(context, function.implementation, nil)
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds bytes.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    /// Adds bytes.
    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest; the hash is used up.
    public consuming func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        EVP_DigestFinal_ex(context, &digest, nil)
        return digest
    }
}

/// Hashes of what is there as a whole.
public enum Digests {
    /// The digest of some bytes.
    public static func hash(_ function: HashFunction, _ bytes: [UInt8]) -> [UInt8] {
        var hasher = Hasher(function)
        hasher.update(bytes)
        return hasher.finish()
    }

    /// HMAC-SHA1 (RFC 2104): 20 bytes.
    public static func hmacSHA1(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hmacSHA1(key: key, $0) }
    }

    /// HMAC-SHA1 (RFC 2104) of bytes in place.
    public static func hmacSHA1(key: [UInt8], _ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        // RFC 2104 §2: a key longer than a block stands for its hash. OpenSSL's own HMAC looks its parts up by name each time.
        let key = key.count > 64 ? hash(.sha1, key) : key
        var (inner, outer) = ([UInt32](repeating: 0, count: 5), [UInt32](repeating: 0, count: 5))
        var digest = [UInt8](repeating: 0, count: HashFunction.sha1.byteCount)
        talkburst_hmac_sha1_prepare(key, key.count, &inner, &outer)
        talkburst_hmac_sha1(inner, outer, bytes.baseAddress, bytes.count, nil, 0, &digest)
        return digest
    }

    /// The digest of an open file from its beginning, and its size; nil with `errno` set where it can't be read. It blocks.
    public static func hash(_ function: HashFunction, descriptor: Int32) -> (digest: [UInt8], size: Int)? {
        var hasher = Hasher(function)
        var buffer = [UInt8](repeating: 0, count: 128 * 1024)
        var offset = 0
        while true {
            let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { return (hasher.finish(), offset) }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
            offset += count
        }
    }

    /// The digest of a file, and its size; nil with `errno` set where it can't be read. It blocks.
    public static func hash(_ function: HashFunction, file: String) -> (digest: [UInt8], size: Int)? {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return hash(function, descriptor: descriptor)
    }

    /// Lower-case hexadecimal digits.
    public static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in bytes { out += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: out, as: UTF8.self)
    }

    /// The UUID version 5 (RFC 9562) of a name in the namespace of URLs, in its usual notation.
    public static func uuidV5(url name: String) -> String {
        // RFC 9562, 6.6: the namespace of URLs.
        let namespace: [UInt8] = [
            0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
        ]
        var bytes = Array(hash(.sha1, namespace + Array(name.utf8)).prefix(16))
        bytes[6] = bytes[6] & 0x0f | 0x50
        bytes[8] = bytes[8] & 0x3f | 0x80
        let text = hex(bytes)
        let cuts = [0, 8, 12, 16, 20, 32]
        return zip(cuts, cuts.dropFirst()).map { from, to in
            String(text.utf8.dropFirst(from).prefix(to - from)) ?? ""
        }.joined(separator: "-")
    }
}
