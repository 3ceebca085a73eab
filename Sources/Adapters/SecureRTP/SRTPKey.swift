import COpenSSL

/// A master key and master salt with the suite they are for. Its bytes are wiped with its last copy, and never printed.
public struct SRTPKey: Sendable {
    /// What it protects with.
    public let suite: SRTPSuite
    private let secret: Secret

    /// The length of a suite's master key and master salt together, in bytes.
    public static func byteCount(_ suite: SRTPSuite) -> Int { suite.keyBytes + suite.saltBytes }

    /// A key from its bytes: the master key, then the master salt.
    public init(_ suite: SRTPSuite, bytes: UnsafeRawBufferPointer) throws(SRTPKeyError) {
        let expected = Self.byteCount(suite)
        guard bytes.count == expected else { throw .length(expected: expected, got: bytes.count) }
        self.suite = suite
        secret = Secret(count: expected) { $0.copyMemory(from: bytes) }
    }

    /// A key from its bytes: the master key, then the master salt.
    public init(_ suite: SRTPSuite, bytes: [UInt8]) throws(SRTPKeyError) {
        let expected = Self.byteCount(suite)
        guard bytes.count == expected else { throw .length(expected: expected, got: bytes.count) }
        self.suite = suite
        secret = Secret(count: expected) { $0.copyBytes(from: bytes) }
    }

    /// A new random key.
    public static func random(_ suite: SRTPSuite) throws(SRTPKeyError) -> SRTPKey {
        let secret = try Secret(count: byteCount(suite)) { (bytes) throws(SRTPKeyError) in
            guard RAND_priv_bytes(bytes.bindMemory(to: UInt8.self).baseAddress, Int32(bytes.count)) == 1 else { throw .library }
        }
        return SRTPKey(suite, secret: secret)
    }

    /// How many bytes DTLS must export under the label `EXTRACTOR-dtls_srtp` (RFC 5764, section 4.2).
    public static func exportByteCount(_ suite: SRTPSuite) -> Int { 2 * byteCount(suite) }

    /// The two keys of a DTLS export, which is ordered client key, server key, client salt, server salt (RFC 5764, section 4.2).
    /// The DTLS client sends with `client`.
    public static func pair(
        _ suite: SRTPSuite, dtlsExport: UnsafeRawBufferPointer
    ) throws(SRTPKeyError) -> (client: SRTPKey, server: SRTPKey) {
        let expected = exportByteCount(suite)
        guard dtlsExport.count == expected else { throw .length(expected: expected, got: dtlsExport.count) }
        let (key, salt) = (suite.keyBytes, suite.saltBytes)
        func part(_ which: Int) -> SRTPKey {
            let secret = Secret(count: key + salt) { bytes in
                let target = UnsafeMutableRawBufferPointer(rebasing: bytes[key...])
                bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: dtlsExport[which * key..<(which + 1) * key]))
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: dtlsExport[2 * key + which * salt..<2 * key + (which + 1) * salt]))
            }
            return SRTPKey(suite, secret: secret)
        }
        return (part(0), part(1))
    }

    /// Master key and master salt, for as long as the closure runs.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { body(secret.bytes) }

    init(_ suite: SRTPSuite, secret: Secret) {
        self.suite = suite
        self.secret = secret
    }
}

extension SRTPKey: Equatable {
    /// In a time that does not depend on where they differ.
    public static func == (left: SRTPKey, right: SRTPKey) -> Bool {
        left.suite == right.suite && Secret.isEqual(left.secret.bytes, right.secret.bytes)
    }
}

extension SRTPKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The suite; never the key.
    public var description: String { "SRTPKey(\(suite.sdesName), hidden)" }
    /// The suite; never the key.
    public var debugDescription: String { description }
    /// Nothing: a dump must not show the key.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
