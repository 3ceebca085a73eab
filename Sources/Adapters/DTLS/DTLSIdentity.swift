import CHandshake
import COpenSSL

/// Who we are to every WebRTC peer: a certificate on ECDSA P-256 that we signed ourselves, made anew at each start, and the OpenSSL
/// contexts that all sessions share. Peers know it by its fingerprint, which goes through the signalling (RFC 8122).
///
/// `unchecked` Sendable is right: contexts are made in `init` and only read from then on; OpenSSL counts their references atomically.
public final class DTLSIdentity: @unchecked Sendable {
    /// SHA-256 of the certificate, as in an SDP's `a=fingerprint:sha-256 AA:BB:…`.
    public let fingerprint: DTLSFingerprint
    private let server: OpaquePointer
    private let client: OpaquePointer

    /// What of SRTP is offered, the best first (RFC 5764 §4.1.2, RFC 7714 §14.2).
    static let profiles = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"
    /// Forward secrecy and AES-GCM only: every peer has the first (RFC 8827 §6.5), and ``DTLSAssociation`` knows no others.
    private static let ciphers =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"

    /// Makes a key and a certificate.
    /// - Throws: `DTLSError` where OpenSSL can't.
    public init() throws(DTLSError) {
        let key = try Self.makeKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try Self.makeCertificate(key)
        defer { X509_free(certificate) }
        guard let fingerprint = DTLSFingerprint(of: certificate, .sha256) else { throw DTLSError("the certificate has no fingerprint") }
        self.fingerprint = fingerprint
        server = try Self.makeContext(DTLS_server_method(), key, certificate)
        do throws(DTLSError) {
            client = try Self.makeContext(DTLS_client_method(), key, certificate)
        } catch {
            SSL_CTX_free(server)
            throw error
        }
    }

    deinit {
        SSL_CTX_free(server)
        SSL_CTX_free(client)
    }

    func context(_ role: DTLSSession.Role) -> OpaquePointer { role == .server ? server : client }

    private static func makeKey() throws(DTLSError) -> OpaquePointer {
        let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
            EVP_PKEY_generate(context, &key) == 1, let key
        else { throw DTLSError("no ECDSA key can be made") }
        return key
    }

    private static func makeCertificate(_ key: OpaquePointer) throws(DTLSError) -> OpaquePointer {
        guard let certificate = X509_new() else { throw DTLSError("no certificate can be made") }
        var serial: Int64 = 0
        withUnsafeMutableBytes(of: &serial) { _ = RAND_bytes($0.bindMemory(to: UInt8.self).baseAddress, 8) }
        let name = X509_get_subject_name(certificate)
        // A day back, for clocks that are slow; a year on: a service starts more often.
        let isMade =
            X509_set_version(certificate, 2) == 1
            && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), UInt64(serial.magnitude >> 1)) == 1
            && X509_gmtime_adj(X509_getm_notBefore(certificate), -86_400) != nil
            && X509_gmtime_adj(X509_getm_notAfter(certificate), 365 * 86_400) != nil
            && X509_NAME_add_entry_by_txt(name, "CN", Int32(MBSTRING_FLAG | 1), "Talkburst", -1, -1, 0) == 1
            && X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1
            && X509_sign(certificate, key, EVP_sha256()) > 0
        guard isMade else {
            X509_free(certificate)
            throw DTLSError("no certificate can be made")
        }
        return certificate
    }

    private static func makeContext(_ method: OpaquePointer?, _ key: OpaquePointer, _ certificate: OpaquePointer) throws(DTLSError)
        -> OpaquePointer
    {
        guard let few = chandshake_context(), let context = SSL_CTX_new_ex(few, nil, method) else {
            throw DTLSError("no context can be made")
        }
        // MTU comes from us; sessions are never resumed; buffers go while nothing is read or written.
        SSL_CTX_set_options(context, talkburst_ssl_options())
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
        // Certificates of peers are known by their fingerprint alone, which is compared after the handshake: no chain is looked for, to theirs
        // or to ours.
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_cert_verify_callback(context, { _, _ in 1 }, nil)
        guard SSL_CTX_use_certificate(context, certificate) == 1, SSL_CTX_use_PrivateKey(context, key) == 1,
            SSL_CTX_set_cipher_list(context, ciphers) == 1, SSL_CTX_set_tlsext_use_srtp(context, profiles) == 0
        else {
            SSL_CTX_free(context)
            throw DTLSError("the context can't be set up")
        }
        return context
    }
}

/// The hash of a certificate as it stands in an SDP (RFC 8122 §5).
public struct DTLSFingerprint: Sendable, Equatable, CustomStringConvertible {
    /// Hash functions that peers use.
    public enum Hash: String, Sendable, CaseIterable {
        case sha1 = "sha-1"
        case sha224 = "sha-224"
        case sha256 = "sha-256"
        case sha384 = "sha-384"
        case sha512 = "sha-512"
    }
    /// Which hash.
    public let hash: Hash
    /// Its bytes.
    public let bytes: [UInt8]

    /// Reads `AA:BB:…`, the value of an `a=fingerprint` behind the hash's name.
    /// - Returns: nil for another hash, or anything but its number of bytes.
    public init?(hash name: String, value: String) {
        guard let hash = Hash(rawValue: name.lowercased()) else { return nil }
        let parts = value.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
        guard bytes.count == parts.count, bytes.count == hash.byteCount else { return nil }
        (self.hash, self.bytes) = (hash, bytes)
    }

    init?(of certificate: OpaquePointer, _ hash: Hash) {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, hash.function, &digest, &count) == 1 else { return nil }
        (self.hash, bytes) = (hash, Array(digest.prefix(Int(count))))
    }

    /// As in an SDP: `sha-256 AA:BB:…`.
    public var description: String {
        let digits = Array("0123456789ABCDEF")
        return hash.rawValue + " " + bytes.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined(separator: ":")
    }
}

extension DTLSFingerprint.Hash {
    var byteCount: Int {
        switch self {
        case .sha1: 20
        case .sha224: 28
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    var function: OpaquePointer? {
        switch self {
        case .sha1: EVP_sha1()
        case .sha224: EVP_sha224()
        case .sha256: EVP_sha256()
        case .sha384: EVP_sha384()
        case .sha512: EVP_sha512()
        }
    }
}

/// What OpenSSL could not do.
public struct DTLSError: Error, Sendable, CustomStringConvertible {
    /// What, and OpenSSL's own reason.
    public let description: String

    init(_ what: String) {
        let code = ERR_peek_last_error()
        let reason = code == 0 ? nil : ERR_reason_error_string(code).map { String(cString: $0) }
        ERR_clear_error()
        description = "DTLS: " + what + (reason.map { " (\($0))" } ?? "")
    }
}
