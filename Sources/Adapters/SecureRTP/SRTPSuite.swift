/// A way to protect RTP: cipher, authentication and their lengths.
public enum SRTPSuite: Sendable, Hashable, CaseIterable {
    /// AEAD_AES_128_GCM (RFC 7714, section 14.2); what we like best.
    case aeadAES128GCM
    /// AEAD_AES_256_GCM (RFC 7714, section 14.2).
    case aeadAES256GCM
    /// AES_CM_128_HMAC_SHA1_80 (RFC 3711, sections 4.1 and 4.2): what every peer has.
    case aesCM128HMACSHA1

    /// The length of the master key, and of the session key for encryption, in bytes.
    public var keyBytes: Int { self == .aeadAES256GCM ? 32 : 16 }

    /// The length of the master salt in bytes.
    public var saltBytes: Int { isAEAD ? 12 : 14 }

    /// What RTP grows by in bytes: the authentication tag.
    public var tagBytes: Int { isAEAD ? 16 : 10 }

    /// What RTCP grows by in bytes: the authentication tag and the word of the E bit and the index (RFC 3711, section 3.4).
    public var rtcpOverhead: Int { tagBytes + 4 }

    /// The name in SDES (RFC 4568, section 6.2; RFC 7714, section 14.1), as in `rtp.srtp.suite` of a join.
    public var sdesName: String {
        switch self {
        case .aeadAES128GCM: "AEAD_AES_128_GCM"
        case .aeadAES256GCM: "AEAD_AES_256_GCM"
        case .aesCM128HMACSHA1: "AES_CM_128_HMAC_SHA1_80"
        }
    }

    /// The suite of an SDES name, which is case-sensitive (RFC 4568, section 9.1); nil for a suite that is not spoken here.
    public init?(sdesName: String) {
        guard let suite = Self.allCases.first(where: { $0.sdesName == sdesName }) else { return nil }
        self = suite
    }

    /// The protection profile's name for OpenSSL's `SSL_CTX_set_tlsext_use_srtp` (RFC 5764, section 4.1.2).
    public var dtlsName: String {
        switch self {
        case .aeadAES128GCM: "SRTP_AEAD_AES_128_GCM"
        case .aeadAES256GCM: "SRTP_AEAD_AES_256_GCM"
        case .aesCM128HMACSHA1: "SRTP_AES128_CM_SHA1_80"
        }
    }

    /// The protection profile's number at IANA, as in `SRTP_PROTECTION_PROFILE.id` (RFC 5764, section 4.1.2; RFC 7714, section 14.2).
    public var dtlsProfile: UInt16 {
        switch self {
        case .aeadAES128GCM: 0x0007
        case .aeadAES256GCM: 0x0008
        case .aesCM128HMACSHA1: 0x0001
        }
    }

    /// The suite of a profile's number; nil for one that is not spoken here.
    public init?(dtlsProfile: UInt16) {
        guard let suite = Self.allCases.first(where: { $0.dtlsProfile == dtlsProfile }) else { return nil }
        self = suite
    }

    var isAEAD: Bool { self != .aesCM128HMACSHA1 }
}
