import COpenSSL

/// What stays of a DTLS 1.2 session once its handshake is done (RFC 6347): what is needed to send our last flight again, to hear the peer's
/// goodbye and to say our own. That is some 300 bytes, where OpenSSL's session keeps tens of kilobytes for as long as a peer is there.
///
/// Records are protected by AES-GCM (RFC 5288), with keys that OpenSSL's master secret leads to; they are as good as OpenSSL's own.
struct DTLSAssociation {
    /// What a datagram says.
    enum Word: Equatable {
        /// Nothing: it is forged, repeated, or of no interest.
        case none
        /// The peer sent its last flight again: it lacks ours.
        case again
        /// close_notify, or a fatal alert (RFC 5246 §7.2).
        case goodbye
    }

    /// Both directions' keys and the fixed parts of their nonces (RFC 5288 §3), as they are derived (RFC 5246 §6.3): client key, server key,
    /// client salt, server salt. Wiped when nobody has them any more.
    private final class Keys {
        private let block: UnsafeMutableRawBufferPointer
        private let keyBytes: Int
        private static let saltBytes = 4

        init(keyBytes: Int, _ derive: (UnsafeMutableRawBufferPointer) throws(DTLSError) -> Void) throws(DTLSError) {
            self.keyBytes = keyBytes
            block = .allocate(byteCount: 2 * (keyBytes + Self.saltBytes), alignment: 8)
            block.initializeMemory(as: UInt8.self, repeating: 0)
            try derive(block)
        }

        deinit {
            OPENSSL_cleanse(block.baseAddress, block.count)
            block.deallocate()
        }

        func cipher(ofClient: Bool) -> UnsafeRawBufferPointer { part(ofClient ? 0 : keyBytes, keyBytes) }

        func salt(ofClient: Bool) -> [UInt8] { Array(part(2 * keyBytes + (ofClient ? 0 : Self.saltBytes), Self.saltBytes)) }

        private func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: block[start..<start + count])
        }
    }

    private let keys: Keys
    private let isClient: Bool
    /// The highest sequence number that came, and which of the 64 up to it (RFC 6347 §4.1.2.6). The peer's Finished was the first.
    private var highest: UInt64 = 0
    private var seen: UInt64 = 1

    private static let headerBytes = 13
    private static let tagBytes = 16
    private static let nonceBytes = 8
    private static let (alert, handshake): (UInt8, UInt8) = (21, 22)
    /// The epoch that the handshake led to, before a sequence number of 48 bits.
    private static let epoch: UInt64 = 1 << 48
    /// Ours went up by one with each Finished; this is far beyond, and there is only one goodbye.
    private static let goodbyeSequence: UInt64 = 1 << 32

    /// Takes the keys from a session whose handshake is done.
    /// - Throws: `DTLSError` where it has none that are known here.
    init(_ ssl: OpaquePointer, isClient: Bool) throws(DTLSError) {
        let suite = SSL_get_current_cipher(ssl)
        let keyBytes = Int(SSL_CIPHER_get_bits(suite, nil)) / 8
        guard let digest = SSL_CIPHER_get_handshake_digest(suite), keyBytes == 16 || keyBytes == 32 else {
            throw DTLSError("a cipher suite that was not offered")
        }
        var master = [UInt8](repeating: 0, count: 48)
        defer { master.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
        guard SSL_SESSION_get_master_key(SSL_get_session(ssl), &master, master.count) == master.count else {
            throw DTLSError("no master secret")
        }
        var (clientRandom, serverRandom) = ([UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 32))
        SSL_get_client_random(ssl, &clientRandom, 32)
        SSL_get_server_random(ssl, &serverRandom, 32)
        let seed = Array("key expansion".utf8) + serverRandom + clientRandom
        keys = try Keys(keyBytes: keyBytes) { block throws(DTLSError) in try Self.expand(digest, &master, seed, into: block) }
        self.isClient = isClient
    }

    /// The pseudorandom function of TLS 1.2 (RFC 5246 §5); `seed` begins with the label.
    private static func expand(
        _ digest: OpaquePointer, _ secret: inout [UInt8], _ seed: [UInt8], into block: UnsafeMutableRawBufferPointer
    ) throws(DTLSError) {
        let function = EVP_KDF_fetch(nil, "TLS1-PRF", nil)
        defer { EVP_KDF_free(function) }
        let context = EVP_KDF_CTX_new(function)
        defer { EVP_KDF_CTX_free(context) }
        // Parameters keep the pointers to their names.
        func name(_ text: StaticString) -> UnsafePointer<CChar> { UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self) }
        var seed = seed
        let isDone = secret.withUnsafeMutableBytes { secret in
            seed.withUnsafeMutableBytes { seed in
                let parameters = [
                    OSSL_PARAM_construct_utf8_string(name("digest"), UnsafeMutablePointer(mutating: EVP_MD_get0_name(digest)), 0),
                    OSSL_PARAM_construct_octet_string(name("secret"), secret.baseAddress, secret.count),
                    OSSL_PARAM_construct_octet_string(name("seed"), seed.baseAddress, seed.count), OSSL_PARAM_construct_end(),
                ]
                return EVP_KDF_derive(context, block.baseAddress, block.count, parameters) == 1
            }
        }
        guard isDone else { throw DTLSError("no keys for what comes after the handshake") }
    }

    /// Reads the records of a datagram.
    mutating func read(_ datagram: UnsafeRawBufferPointer) -> Word {
        var (rest, word) = (datagram, Word.none)
        while rest.count >= Self.headerBytes {
            let size = Int(rest[11]) << 8 | Int(rest[12])
            guard rest.count >= Self.headerBytes + size else { break }
            let record = UnsafeRawBufferPointer(rebasing: rest[..<(Self.headerBytes + size)])
            rest = UnsafeRawBufferPointer(rebasing: rest[(Self.headerBytes + size)...])
            switch (record[0], open(record)) {
            case (Self.alert, .some(let text)) where text.count == 2 && (text[0] == 2 || text[1] == 0): return .goodbye
            case (Self.handshake, .some): word = .again
            default: break
            }
        }
        return word
    }

    /// What a record says; nil where it is not authentic, or came before.
    private mutating func open(_ record: UnsafeRawBufferPointer) -> [UInt8]? {
        let place = record[3..<11].reduce(0) { $0 << 8 | UInt64($1) }
        let sequence = place & (Self.epoch - 1)
        let count = record.count - Self.headerBytes - Self.nonceBytes - Self.tagBytes
        let isCurrent = record[1..<3].elementsEqual(Self.version) && place & ~(Self.epoch - 1) == Self.epoch
        guard isCurrent, count >= 0, isNew(sequence) else { return nil }
        let body = record[Self.headerBytes...]
        let nonce = keys.salt(ofClient: !isClient) + body.prefix(Self.nonceBytes)
        let aad = Self.additionalData(record[0], sequence, count: count)
        let (text, tag) = (Array(body.dropFirst(Self.nonceBytes).prefix(count)), Array(body.suffix(Self.tagBytes)))
        guard let opened = Self.crypt(keys.cipher(ofClient: !isClient), nonce, aad, text, tag: tag)?.text else { return nil }
        accept(sequence)
        return opened
    }

    /// close_notify, as a datagram; nil where OpenSSL can't. Its sequence number is always the same, so it is for once.
    func goodbye() -> [UInt8]? {
        // The part of the nonce that goes with the record is drawn, as OpenSSL draws where it begins; so the two never meet.
        var explicit = [UInt8](repeating: 0, count: Self.nonceBytes)
        let text: [UInt8] = [1, 0]
        let aad = Self.additionalData(Self.alert, Self.goodbyeSequence, count: text.count)
        guard RAND_bytes(&explicit, Int32(explicit.count)) == 1,
            let sealed = Self.crypt(keys.cipher(ofClient: isClient), keys.salt(ofClient: isClient) + explicit, aad, text, tag: nil)
        else { return nil }
        let body = explicit + sealed.text + sealed.tag
        return [Self.alert] + Self.version + Self.place(Self.goodbyeSequence) + Self.length(body.count) + body
    }

    // MARK: Records

    private static let version: [UInt8] = [0xFE, 0xFD]

    private static func place(_ sequence: UInt64) -> [UInt8] { withUnsafeBytes(of: (epoch | sequence).bigEndian, Array.init) }

    private static func length(_ count: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] }

    /// What is authenticated beside the text (RFC 5246 §6.2.3.3).
    private static func additionalData(_ type: UInt8, _ sequence: UInt64, count: Int) -> [UInt8] {
        place(sequence) + [type] + version + length(count)
    }

    /// Opens a text whose tag is given, seals one that has none; nil where the tag is wrong.
    private static func crypt(_ key: UnsafeRawBufferPointer, _ nonce: [UInt8], _ aad: [UInt8], _ text: [UInt8], tag: [UInt8]?) -> (
        text: [UInt8], tag: [UInt8]
    )? {
        let context = EVP_CIPHER_CTX_new()
        defer { EVP_CIPHER_CTX_free(context) }
        let isSealing = tag == nil
        var (result, tag, count) = ([UInt8](repeating: 0, count: text.count), tag ?? [UInt8](repeating: 0, count: tagBytes), Int32(0))
        let cipher = key.count == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm()
        guard EVP_CipherInit_ex(context, cipher, nil, key.bindMemory(to: UInt8.self).baseAddress, nonce, isSealing ? 1 : 0) == 1,
            EVP_CipherUpdate(context, nil, &count, aad, Int32(aad.count)) == 1,
            text.isEmpty || EVP_CipherUpdate(context, &result, &count, text, Int32(text.count)) == 1,
            isSealing || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), &tag) == 1
        else { return nil }
        var last = [UInt8](repeating: 0, count: tagBytes)
        guard EVP_CipherFinal_ex(context, &last, &count) == 1,
            !isSealing || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), &tag) == 1
        else { return nil }
        return (result, tag)
    }

    // MARK: Replay

    private func isNew(_ sequence: UInt64) -> Bool {
        sequence > highest || highest - sequence < 64 && seen & 1 << (highest - sequence) == 0
    }

    private mutating func accept(_ sequence: UInt64) {
        if sequence > highest {
            // A shift by more than the width leaves nothing, as it should.
            (seen, highest) = (seen << (sequence - highest) | 1, sequence)
        } else {
            seen |= 1 << (highest - sequence)
        }
    }
}
