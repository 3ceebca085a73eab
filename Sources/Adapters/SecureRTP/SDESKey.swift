import COpenSSL

// RFC 4568, sections 6.1 and 9.2:
//
//   inline:<key||salt in base64> ["|" lifetime] ["|" MKI ":" length]     lifetime: a number or "2^" and a number

extension SRTPKey {
    /// A key from SDES (RFC 4568, section 6.1), as in `rtp.srtp.crypto` of a join: `inline:` and base64, with or without its padding.
    /// A lifetime is checked and then not needed: it is in packets, at most 2^48, which no talk comes near.
    /// - Throws: what is wrong with it; a master key identifier is refused, for packets would have to carry it.
    public init(_ suite: SRTPSuite, sdes text: String) throws(SRTPKeyError) {
        let prefix = "inline:"
        // RFC 4566 leaves method names case-sensitive, but "INLINE:" can mean nothing else.
        guard text.utf8.count >= prefix.utf8.count, text.prefix(prefix.count).lowercased() == prefix else { throw .notInline }
        let parameters = text.dropFirst(prefix.count)
        guard !parameters.contains(";") else { throw .severalKeys }
        let fields = parameters.split(separator: "|", omittingEmptySubsequences: false)
        for field in fields.dropFirst() {
            guard !field.contains(":") else { throw .masterKeyIdentifier }
            try Self.check(lifetime: field)
        }
        guard fields.count <= 2, let base64 = fields.first else { throw .lifetime }
        let expected = Self.byteCount(suite)
        let secret = try Secret(count: expected) { (bytes) throws(SRTPKeyError) in try Self.decode(base64, into: bytes) }
        self.init(suite, secret: secret)
    }

    /// The key for SDES: `inline:` and base64 with its padding. It shows the key: for the peer only, never for a log.
    public var sdes: String { "inline:" + withBytes { Self.encode($0) } }

    private static func check(lifetime: Substring) throws(SRTPKeyError) {
        let digits = lifetime.hasPrefix("2^") ? lifetime.dropFirst(2) : lifetime
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = UInt64(digits) else {
            throw .lifetime
        }
        guard digits.count < lifetime.count ? number <= 48 : (1...1 << 48).contains(number) else { throw .lifetime }
    }

    /// Decodes into secret memory, so that no copy is left behind; the length must be right.
    private static func decode(_ text: Substring, into bytes: UnsafeMutableRawBufferPointer) throws(SRTPKeyError) {
        var digits = text.utf8
        while digits.last == UInt8(ascii: "="), text.utf8.count - digits.count < 2 { digits = digits.dropLast() }
        // A padded text is whole quads; and 6 bits left over would be no byte.
        guard digits.count == text.utf8.count || text.utf8.count % 4 == 0, digits.count % 4 != 1 else { throw .base64 }
        var (pending, bits, count): (UInt32, Int, Int) = (0, 0, 0)
        for digit in digits {
            guard let value = Self.value(of: digit) else { throw .base64 }
            pending = pending << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                if count < bytes.count { bytes[count] = UInt8(truncatingIfNeeded: pending >> UInt32(bits)) }
                count += 1
            }
        }
        guard pending & (1 << UInt32(bits) - 1) == 0 else { throw .base64 }
        guard count == bytes.count else { throw .length(expected: bytes.count, got: count) }
    }

    private static func value(of digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    private static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
        let length = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: length + 1) { text in
            Int(EVP_EncodeBlock(text.baseAddress, bytes.bindMemory(to: UInt8.self).baseAddress, Int32(bytes.count)))
        }
    }
}
