import COpenSSL
import TestTraits
import Testing

@testable import DTLS

/// A peer that is OpenSSL as it comes, with all its algorithms, and a certificate of any kind.
private final class StockPeer {
    enum Kind: Sendable {
        case ec(String)
        case rsa(bits: Int32)
        case ed25519
    }

    let fingerprint: DTLSFingerprint
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let (incoming, outgoing): (OpaquePointer?, OpaquePointer?)

    /// - Parameters:
    ///   - suites: of DTLS, as OpenSSL names them; so are the profiles of SRTP.
    ///   - mtu: what a datagram may have, bytes.
    init(_ kind: Kind, suites: String, profiles: String = "SRTP_AEAD_AES_128_GCM", mtu: Int = 1_200) throws {
        let key = try #require(Self.key(kind))
        defer { EVP_PKEY_free(key) }
        let certificate = try #require(X509_new())
        defer { X509_free(certificate) }
        X509_set_version(certificate, 2)
        X509_gmtime_adj(X509_getm_notBefore(certificate), -60)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 60)
        X509_set_pubkey(certificate, key)
        let digest = if case .ed25519 = kind { OpaquePointer?.none } else { EVP_sha256() }
        try #require(X509_sign(certificate, key, digest) > 0)
        fingerprint = try #require(DTLSFingerprint(of: certificate, .sha256))
        context = try #require(SSL_CTX_new(DTLS_client_method()))
        SSL_CTX_set_cipher_list(context, suites)
        SSL_CTX_set_tlsext_use_srtp(context, profiles)
        SSL_CTX_use_certificate(context, certificate)
        SSL_CTX_use_PrivateKey(context, key)
        ssl = try #require(SSL_new(context))
        (incoming, outgoing) = (BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()))
        for bio in [incoming, outgoing] { BIO_ctrl(bio, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, nil) }
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_ctrl(ssl, DTLS_CTRL_SET_LINK_MTU, mtu, nil)
        SSL_set_connect_state(ssl)
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// What it says next, having heard this.
    func hear(_ datagrams: [[UInt8]]) -> [UInt8] {
        for datagram in datagrams { BIO_write(incoming, datagram, Int32(datagram.count)) }
        SSL_do_handshake(ssl)
        var said = [UInt8](repeating: 0, count: 16_384)
        let count = BIO_read(outgoing, &said, Int32(said.count))
        return Array(said.prefix(max(0, Int(count))))
    }

    private static func key(_ kind: Kind) -> OpaquePointer? {
        let name =
            switch kind {
            case .ec: "EC"
            case .rsa: "RSA"
            case .ed25519: "ED25519"
            }
        let maker = EVP_PKEY_CTX_new_from_name(nil, name, nil)
        defer { EVP_PKEY_CTX_free(maker) }
        EVP_PKEY_keygen_init(maker)
        switch kind {
        case .ec(let curve): EVP_PKEY_CTX_set_group_name(maker, curve)
        case .rsa(let bits): EVP_PKEY_CTX_set_rsa_keygen_bits(maker, bits)
        case .ed25519: break
        }
        var key: OpaquePointer?
        EVP_PKEY_generate(maker, &key)
        return key
    }
}

/// We use few of OpenSSL's algorithms: they must be enough for whatever certificate a peer may bring, and for each suite.
@Suite(.oneAtATime) struct StockPeerTests {
    @Test(
        arguments: [StockPeer.Kind.ec("P-256"), .ec("P-384"), .ec("P-521"), .rsa(bits: 2_048), .rsa(bits: 4_096), .ed25519],
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
    fileprivate func peersWithAnyCertificateGetKeys(_ kind: StockPeer.Kind, _ suites: String) throws {
        let keys = try #require(try keys(of: StockPeer(kind, suites: suites)))
        #expect(keys.profile == 7 && keys.exported.count == 56)
    }

    /// The three of DEVICES.md, by their numbers (RFC 5764 §4.1.2, RFC 7714 §14.2): two keys and two salts are exported.
    @Test(
        arguments: [
            ("SRTP_AEAD_AES_128_GCM", 7, 56), ("SRTP_AEAD_AES_256_GCM", 8, 88), ("SRTP_AES128_CM_SHA1_80", 1, 60),
            ("SRTP_AES128_CM_SHA1_32:SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM", 8, 88),
        ])
    func theProfileThatWePreferOfThePeersIsTaken(profiles: String, number: UInt16, bytes: Int) throws {
        let keys = try #require(try keys(of: StockPeer(.ec("P-256"), suites: "ALL", profiles: profiles)))
        #expect(keys.profile == number && keys.exported.count == bytes)
    }

    @Test func withoutAProfileInCommonThereAreNoKeys() throws {
        #expect(try keys(of: StockPeer(.ec("P-256"), suites: "ALL", profiles: "SRTP_AES128_CM_SHA1_32")) == nil)
    }

    /// RFC 6347 §4.2.3.
    @Test func aHelloInFragmentsIsRead() throws {
        let peer = try StockPeer(.rsa(bits: 4_096), suites: "ALL", mtu: 256)
        #expect(try keys(of: peer, fragmentsAtMost: 256)?.exported.count == 56)
    }

    /// What the handshake leads to; nil: to nothing.
    /// - Parameter fragmentsAtMost: no message of the peer's may go in one record.
    private func keys(of peer: StockPeer, fragmentsAtMost: Int? = nil) throws -> DTLSKeys? {
        let session = try DTLSSession(try DTLSIdentity(), .server, fingerprint: peer.fingerprint)
        for _ in 0..<4 {
            let said = peer.hear(session.takeOutgoing())
            // A record's header tells its length (RFC 6347 §4.1); what is longer than one comes in more of them.
            if let fragmentsAtMost, !said.isEmpty {
                try #require(13 + Int(said[11]) << 8 + Int(said[12]) <= fragmentsAtMost && said.count > fragmentsAtMost)
            }
            switch said.withUnsafeBytes({ session.receive($0, at: 0) }) {
            case .connected(let keys): return keys
            case .none: continue
            case .closed, .failed: return nil
            }
        }
        return nil
    }
}
