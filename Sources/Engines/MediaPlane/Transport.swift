import DTLS
import Floor
import ICE
import PeerSession
import RTP
import Room
import SecureRTP
import Talk

/// A participant's place in one stream's fan-out. Used by its worker's thread only.
final class Listener {
    let payloadType: UInt8
    /// Hears the holder also while an owner talks over it.
    let dual: Bool
    /// Where it stands in the fan-out; nil: it gets nothing.
    var index: Int?
    /// In which part of the fan-out that is.
    var carrier = Carrier.plain
    var variant: PlainFanOut.Variant?
    /// Protects what it hears; nil: it hears plain RTP.
    let sender: SRTPSender?
    /// Of what it hears, where that is its own and not the stream's.
    let ssrc: UInt32?
    /// What its own bursts took of the stream's numbers.
    var sequenceOffset: UInt16 = 0
    /// The stream's counts when it came, for its sender reports.
    var baseline = SendCounts()

    init(payloadType: UInt8, dual: Bool, sender: SRTPSender?, ssrc: UInt32?) {
        (self.payloadType, self.dual, self.sender, self.ssrc) = (payloadType, dual, sender, ssrc)
    }

    enum Carrier {
        /// Plain RTP over UDP.
        case plain
        /// SRTP over UDP.
        case secure
        /// SRTP on a TCP connection.
        case stream
    }

    /// Its first packet of a stream. One that heard the stream before goes on behind what it heard last, for its peer still has that roll-over
    /// counter; else the numbering begins below 2^15, so that a lost first packet does not make the peer guess a wrong one (RFC 3711
    /// §3.3.1).
    func settle(_ packet: FanOut.Packet) {
        if let last = sender?.lastSequence(ssrc: ssrc ?? packet.ssrc) {
            sequenceOffset = packet.place.sequence &- last &- 1
        } else if packet.place.sequence &- sequenceOffset >= 0x8000 {
            sequenceOffset &+= 0x8000
        }
    }
}

/// One participant's media: where it goes and comes from, and what is known of the link. Used by its worker's thread only.
final class Transport {
    let uid: UserID
    unowned(unsafe) private(set) var branch: Branch
    private(set) var generation: UInt64
    /// What it said about its media.
    private(set) var media: MediaDescription
    /// Under which it latches, or makes its checks.
    private(set) var latch: (username: String, password: String)
    /// All names under which it is found: a restart leaves the older ones.
    private(set) var latchNames: [String]
    /// WebRTC's part of it; nil: it has an address, or latches.
    private(set) var peer: PeerSession<SocketAddress>?
    private let identity: DTLSIdentity
    /// Where media goes; nil until the participant has shown itself, unless its network is trusted.
    var address: SocketAddress?
    /// Where it said it was, until something came from there.
    var declared: SocketAddress?
    /// Hears both streams of a dual floor.
    private var dual: Bool
    /// Gets no media for a while.
    var isSuspended: Bool
    /// In the main stream's fan-out.
    private(set) var main: Listener
    /// In the override's, where the room has one.
    var override: Listener {
        if let overriding { return overriding }
        let made = Listener(payloadType: media.payloadType, dual: true, sender: sender, ssrc: media.ssrc)
        overriding = made
        return made
    }
    private var overriding: Listener?
    /// What came from it; many only ever listen.
    var uplink: Uplink {
        if let sending { return sending }
        let made = Uplink()
        sending = made
        return made
    }
    private var sending: Uplink?
    /// How its packets came so far.
    var reception: ReceptionStatistics { sending?.reception ?? ReceptionStatistics() }
    var remote = RemoteReception()
    /// How much media and RTCP it may send.
    var bucket = TokenBucket()
    /// How many DTLS records.
    var handshakeBucket = TokenBucket()
    /// Protects what it hears and unprotects what it sends; nil: plain RTP.
    private(set) var sender: SRTPSender?
    private(set) var receiver: SRTPReceiver?
    /// When the home was last told of media without the floor.
    var strayedAt: Int64 = 0

    init(_ hosting: Hosting, branch: Branch, identity: DTLSIdentity, at now: Int64) {
        (uid, self.branch, generation, latch) = (hosting.uid, branch, hosting.generation, hosting.latch)
        (media, isSuspended, dual, latchNames) = (hosting.media, hosting.suspended, hosting.dual, [hosting.latch.username])
        self.identity = identity
        if let keys = hosting.media.srtp {
            sender = try? SRTPSender(keys.local)
            receiver = try? SRTPReceiver(keys.remote)
        }
        main = Listener(payloadType: media.payloadType, dual: dual, sender: sender, ssrc: media.ssrc)
        if let offer = media.webRTC { peer = newPeer(offer, at: now) }
    }

    private var credentials: ICECredentials { ICECredentials(ufrag: latch.username, password: latch.password) }

    private func newPeer(_ offer: WebRTCOffer, at now: Int64) -> PeerSession<SocketAddress> {
        PeerSession(identity, offer.role, fingerprint: offer.fingerprint, local: credentials, remote: offer.credentials, at: now)
    }

    /// Whether it may be sent media: a WebRTC peer only once there are keys.
    var isReady: Bool { peer == nil || sender != nil }

    /// The SSRC of what it hears.
    var heardSSRC: UInt32 { media.ssrc ?? branch.main.ssrc }

    /// Goes over to another room, whose streams it hears anew. It must be out of the old one's fan-outs.
    func move(to branch: Branch, _ hosting: Hosting) {
        (self.branch, generation, isSuspended, dual) = (branch, hosting.generation, hosting.suspended, hosting.dual)
        renewListeners()
        sending?.gate.reset()
        sending?.kept = []
    }

    /// Another description: an offer of somebody who had none, new ICE credentials, or a new peer altogether. It must be out of the
    /// fan-outs.
    func describe(_ media: MediaDescription, latch: (username: String, password: String), at now: Int64) {
        guard let offer = media.webRTC else { return }
        (self.media, self.latch) = (media, latch)
        if !latchNames.contains(latch.username) { latchNames.append(latch.username) }
        if let peer, peer.fingerprint == offer.fingerprint {
            peer.restart(local: credentials, remote: offer.credentials, at: now)
        } else {
            peer = newPeer(offer, at: now)
            (sender, receiver, sending) = (nil, nil, nil)
        }
        renewListeners()
    }

    /// The keys of a DTLS handshake. It must be out of the fan-outs.
    func secure(_ keys: SRTPKeys) throws(SRTPError) {
        sender = try SRTPSender(keys.local)
        receiver = try SRTPReceiver(keys.remote)
        renewListeners()
    }

    private func renewListeners() {
        main = Listener(payloadType: media.payloadType, dual: dual, sender: sender, ssrc: media.ssrc)
        overriding = nil
    }
}

/// What comes from a participant. Used by its worker's thread only.
final class Uplink {
    var reception = ReceptionStatistics()
    var gate = VoiceGate()
    var kept: [KeptPacket] = []

    /// A packet of the voice that asks for the floor, kept until it is granted.
    struct KeptPacket {
        var header: RTPHeader
        var payload: [UInt8]
        var arrivalNs: Int64
    }
}

/// Lets packets through at a rate, with bursts: a participant who floods is cut to it, and the others do not notice.
struct TokenBucket {
    /// So many packets per second, and so many at once; the same for all.
    struct Rate {
        fileprivate let costNs: Int64
        fileprivate let limitNs: Int64

        /// - Parameters:
        ///   - perSecond: packets per second; 1…
        ///   - burst: packets at once; 1…
        init(perSecond: Int, burst: Int) {
            costNs = 1_000_000_000 / Int64(max(1, perSecond))
            limitNs = Int64(max(1, burst)) * costNs
        }
    }
    private var spentNs: Int64 = 0
    private var lastNs: Int64 = 0

    /// Takes one packet; false: drop it.
    mutating func take(at now: Int64, _ rate: Rate) -> Bool {
        spentNs = max(0, spentNs - max(0, now - lastNs))
        lastNs = now
        guard spentNs + rate.costNs <= rate.limitNs else { return false }
        spentNs += rate.costNs
        return true
    }
}
