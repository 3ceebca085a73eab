import DTLS
import ICE
import SecureRTP

/// What a participant says about its media when it joins: plain RTP or SRTP (DEVICES.md, `rtp`), or WebRTC (its offer).
public struct MediaDescription: Sendable, Equatable {
    /// Where it wants its media; nil: told later by latching or ICE.
    public var address: SocketAddress?
    /// Of the Opus that it sends and wants.
    public var payloadType: UInt8 = 100
    /// The header extension id of RFC 6464 audio levels; 0: none.
    public var levelExtension: UInt8 = 0
    /// Opus in-band FEC is in what it sends.
    public var usesFEC = false
    /// The keys that both sides send with; nil: plain RTP, or WebRTC.
    public var srtp: SRTPKeys?
    /// What its offer said; nil: no WebRTC.
    public var webRTC: WebRTCOffer?
    /// The SSRC of all that a WebRTC peer hears, whatever room it is in, so that a change of rooms needs no new offer.
    var ssrc: UInt32?
    /// A device that only latches.
    public init() {}
}

/// What is settled about a participant's media. The room's home and the transport have the same one, for there are many listeners.
final class MediaTerms: Sendable {
    /// What the participant said.
    let media: MediaDescription
    /// Under which it latches, or makes its checks.
    let latch: (username: String, password: String)

    init(_ media: MediaDescription, latch: (username: String, password: String)) { (self.media, self.latch) = (media, latch) }
}

/// The master keys of a participant's SRTP.
public struct SRTPKeys: Sendable, Equatable {
    /// What the participant sends with.
    public var remote: SRTPKey
    /// What we send with.
    public var local: SRTPKey
    /// Keys of both sides, of one suite.
    public init(remote: SRTPKey, local: SRTPKey) { (self.remote, self.local) = (remote, local) }
}

/// Of a WebRTC offer what the transport needs.
public struct WebRTCOffer: Sendable, Equatable {
    /// The peer's.
    public var credentials: ICECredentials
    /// Of the certificate that the peer must show.
    public var fingerprint: DTLSFingerprint
    /// Which part of the DTLS handshake is ours.
    public var role: DTLSSession.Role
    /// The peer left that to us (`a=setup:actpass`): an association that there is already keeps its roles (RFC 8842 §5.3).
    public var leavesRole: Bool
    /// Parts of an offer.
    public init(credentials: ICECredentials, fingerprint: DTLSFingerprint, role: DTLSSession.Role, leavesRole: Bool) {
        (self.credentials, self.fingerprint, self.role, self.leavesRole) = (credentials, fingerprint, role, leavesRole)
    }
}

/// What a participant is told about its media.
public struct MediaAnswer: Sendable {
    /// Where to send media.
    public var address: SocketAddress
    /// As the room sends it to this participant.
    public var payloadType: UInt8
    /// Of what it hears.
    public var ssrc: UInt32
    /// The override's, in a dual-floor room.
    public var overrideSSRC: UInt32?
    /// For the STUN binding that tells our side where the media goes; a WebRTC peer's ICE has the same.
    public var latch: (username: String, password: String)
    /// What we send with, where the participant has SRTP by SDES.
    public var srtp: SRTPKey?
    /// Which part of a WebRTC peer's DTLS handshake is ours.
    public var role = DTLSSession.Role.server
}
