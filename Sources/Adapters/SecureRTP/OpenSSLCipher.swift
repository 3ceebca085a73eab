import COpenSSL

/// AES-GCM and AES-CTR of OpenSSL with kept contexts: a context holds an expanded key, and takes a new IV for each packet.
enum OpenSSLCipher {
    /// Fetched once: OpenSSL 3 would look an `EVP_aes_…` up again, under a lock, whenever a key is set.
    ///
    /// unsafe is right: an `EVP_CIPHER` is constant and counted by OpenSSL, and these are kept for ever.
    private nonisolated(unsafe) static let gcm128 = EVP_CIPHER_fetch(nil, "AES-128-GCM", nil)
    private nonisolated(unsafe) static let gcm256 = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
    private nonisolated(unsafe) static let ctr128 = EVP_CIPHER_fetch(nil, "AES-128-CTR", nil)
    private nonisolated(unsafe) static let ctr256 = EVP_CIPHER_fetch(nil, "AES-256-CTR", nil)

    /// The length of a GCM tag in bytes.
    static let tagBytes = 16

    static var name: String { "OpenSSL \(OPENSSL_version_major()).\(OPENSSL_version_minor()).\(OPENSSL_version_patch())" }

    /// A context for a suite's session key; nil where memory is out. Its owner frees it, which wipes the key.
    static func context(_ suite: SRTPSuite, key: UnsafeRawPointer) -> OpaquePointer? {
        switch suite {
        case .aeadAES128GCM: context(gcm128, key)
        case .aeadAES256GCM: context(gcm256, key)
        case .aesCM128HMACSHA1: context(ctr128, key)
        }
    }

    /// A context of AES-CTR, for key derivation; nil where memory is out.
    static func counterContext(key: UnsafeRawPointer, keyBytes: Int) -> OpaquePointer? { context(keyBytes == 32 ? ctr256 : ctr128, key) }

    private static func context(_ cipher: OpaquePointer?, _ key: UnsafeRawPointer) -> OpaquePointer? {
        guard let cipher, let context = EVP_CIPHER_CTX_new() else { return nil }
        // Without an IV, which comes with each packet; both directions of CTR and GCM have the same key schedule.
        guard EVP_CipherInit_ex(context, cipher, nil, key.assumingMemoryBound(to: UInt8.self), nil, 1) == 1 else {
            EVP_CIPHER_CTX_free(context)
            return nil
        }
        return context
    }

    /// Wipes and frees a context.
    static func free(_ context: OpaquePointer?) { EVP_CIPHER_CTX_free(context) }

    /// What is authenticated and not encrypted: the header; and of RTCP the last word of the packet (RFC 7714, section 9.2).
    struct AAD {
        var bytes: UnsafeRawPointer
        var count: Int
        var trailer: UnsafeRawPointer?
    }

    /// XORs the keystream of an IV; `input` and `output` may be the same.
    static func crypt(
        _ context: OpaquePointer, iv: UnsafeRawPointer, _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, count: Int
    ) -> Bool {
        var length: Int32 = 0
        guard EVP_CipherInit_ex(context, nil, nil, nil, iv.assumingMemoryBound(to: UInt8.self), 1) == 1 else { return false }
        return count == 0 || EVP_CipherUpdate(context, bytes(output), &length, bytes(input), Int32(count)) == 1
    }

    /// Encrypts, and writes the tag; `input` and `output` may be the same.
    static func seal(
        _ context: OpaquePointer, iv: UnsafeRawPointer, aad: AAD, _ input: UnsafeRawPointer,
        _ output: UnsafeMutableRawPointer, count: Int, tag: UnsafeMutableRawPointer
    ) -> Bool {
        guard begin(context, iv, aad, encrypting: 1) else { return false }
        var length: Int32 = 0
        if count > 0 {
            guard EVP_CipherUpdate(context, bytes(output), &length, bytes(input), Int32(count)) == 1 else { return false }
        }
        // GCM has nothing left to write at its end.
        return EVP_CipherFinal_ex(context, bytes(output), &length) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), tag) == 1
    }

    /// Decrypts in place; false where the tag is wrong, and then the text is worthless.
    static func open(
        _ context: OpaquePointer, iv: UnsafeRawPointer, aad: AAD, _ text: UnsafeMutableRawPointer, count: Int,
        tag: UnsafeMutableRawPointer
    ) -> Bool {
        guard begin(context, iv, aad, encrypting: 0),
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), tag) == 1
        else { return false }
        var length: Int32 = 0
        if count > 0 {
            guard EVP_CipherUpdate(context, bytes(text), &length, bytes(text), Int32(count)) == 1 else { return false }
        }
        return EVP_CipherFinal_ex(context, bytes(text), &length) == 1
    }

    private static func begin(
        _ context: OpaquePointer, _ iv: UnsafeRawPointer, _ aad: AAD, encrypting: Int32
    ) -> Bool {
        guard EVP_CipherInit_ex(context, nil, nil, nil, iv.assumingMemoryBound(to: UInt8.self), encrypting) == 1 else { return false }
        var length: Int32 = 0
        guard EVP_CipherUpdate(context, nil, &length, bytes(aad.bytes), Int32(aad.count)) == 1 else { return false }
        guard let trailer = aad.trailer else { return true }
        return EVP_CipherUpdate(context, nil, &length, bytes(trailer), 4) == 1
    }

    private static func bytes(_ pointer: UnsafeRawPointer) -> UnsafePointer<UInt8> { pointer.assumingMemoryBound(to: UInt8.self) }
    private static func bytes(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt8> {
        pointer.assumingMemoryBound(to: UInt8.self)
    }
}
