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
    var dual: Bool
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
    /// What it said about its media, and under which name it latches, or makes its checks.
    private(set) var terms: MediaTerms
    /// WebRTC's part of it; nil: it has an address, or latches.
    private(set) var peer: PeerSession<SocketAddress>?
    /// What its worker keeps of the peer; only where there is one.
    var care: PeerCare {
        if let kept { return kept }
        let made = PeerCare()
        kept = made
        return made
    }
    private var kept: PeerCare?
    /// Where media goes; nil until the participant has shown itself, unless its network is trusted.
    var address: SocketAddress?
    /// Where it said it was, until something came from there.
    var declared: SocketAddress?
    /// Hears both streams of a dual floor.
    private var dual: Bool
    /// Gets no media for a while.
    var isSuspended: Bool
    /// Its participant has left: it hears nothing any more, and its branch may be gone.
    var isRetired = false
    /// In the main stream's fan-out.
    private(set) var main: Listener
    /// In the override's, where the room has one.
    var override: Listener {
        if let overriding { return overriding }
        let made = newListener(dual: true)
        overriding = made
        return made
    }
    private var overriding: Listener?
    /// Where that one is.
    var overrideFanOut: FanOut?
    /// What came from it; many only ever listen.
    var uplink: Uplink {
        if let sending { return sending }
        let made = Uplink()
        sending = made
        return made
    }
    private var sending: Uplink?
    /// Whether anything came from it that is kept count of.
    var hasSent: Bool { sending != nil }
    /// How its packets came so far.
    var reception: ReceptionStatistics { sending?.reception ?? ReceptionStatistics() }
    /// How it hears, by its own reports; many never send one.
    var hearing: Hearing {
        if let reported { return reported }
        let made = Hearing()
        reported = made
        return made
    }
    private var reported: Hearing?
    var remote: RemoteReception { reported?.reception ?? RemoteReception() }
    /// How much media and RTCP it may send.
    var bucket = TokenBucket()
    /// Protects what it hears and unprotects what it sends; nil: plain RTP.
    private(set) var sender: SRTPSender?
    private(set) var receiver: SRTPReceiver?
    /// When the home was last told of media without the floor.
    var strayedAt: Int64 = 0

    init(_ hosting: Hosting, branch: Branch, at now: Int64) {
        (uid, self.branch, generation, terms) = (hosting.uid, branch, hosting.generation, hosting.terms)
        (isSuspended, dual) = (hosting.suspended, hosting.dual)
        let media = hosting.terms.media
        if let keys = media.srtp {
            sender = try? SRTPSender(keys.local)
            receiver = try? SRTPReceiver(keys.remote)
        }
        main = Listener(payloadType: media.payloadType, dual: dual && media.ssrc == nil, sender: sender, ssrc: media.ssrc)
        if let offer = media.webRTC { peer = newPeer(offer, at: now) }
    }

    /// All names under which it is found.
    var latchNames: [String] { [kept?.olderName, terms.latch.username].compactMap { $0 } }

    private var credentials: ICECredentials { ICECredentials(ufrag: terms.latch.username, password: terms.latch.password) }

    private func newPeer(_ offer: WebRTCOffer, at now: Int64) -> PeerSession<SocketAddress> {
        PeerSession(offer.role, fingerprint: offer.fingerprint, local: credentials, remote: offer.credentials, at: now)
    }

    /// Whether it hears both voices of a dual floor as one: its one SSRC has room for one stream only.
    var hearsBlend: Bool { dual && terms.media.ssrc != nil }

    /// Whether it may be sent media: a WebRTC peer only once there are keys.
    var isReady: Bool { peer.map { !$0.isOver && sender != nil } ?? true }

    /// The SSRC of what it hears.
    var heardSSRC: UInt32 { terms.media.ssrc ?? branch.main.ssrc }

    /// Goes over to another room, whose streams it hears anew. It must be out of the old one's fan-outs.
    func move(to branch: Branch, _ hosting: Hosting) {
        (self.branch, generation, isSuspended, dual) = (branch, hosting.generation, hosting.suspended, hosting.dual)
        renewListeners()
        sending?.gate.reset()
        sending?.kept = []
    }

    /// Another description: an offer of somebody who had none, new ICE credentials, or a new peer altogether. It must be out of the
    /// fan-outs.
    /// - Returns: a name under which it is found no longer.
    func describe(_ terms: MediaTerms, at now: Int64) -> String? {
        guard let offer = terms.media.webRTC else { return nil }
        var forgotten: String?
        if terms.latch.username != self.terms.latch.username { (forgotten, care.olderName) = (care.olderName, self.terms.latch.username) }
        self.terms = terms
        if let peer, peer.fingerprint == offer.fingerprint, peer.role == offer.role, !peer.isOver {
            peer.restart(local: credentials, remote: offer.credentials, at: now)
        } else {
            peer = newPeer(offer, at: now)
            (sender, receiver, sending) = (nil, nil, nil)
        }
        renewListeners()
        return forgotten
    }

    /// The keys of a DTLS handshake. It must be out of the fan-outs.
    func secure(_ keys: SRTPKeys) throws(SRTPError) {
        sender = try SRTPSender(keys.local)
        receiver = try SRTPReceiver(keys.remote)
        renewListeners()
    }

    private func renewListeners() {
        main = newListener(dual: dual && !hearsBlend)
        overriding = nil
    }

    private func newListener(dual: Bool) -> Listener {
        Listener(payloadType: terms.media.payloadType, dual: dual, sender: sender, ssrc: terms.media.ssrc)
    }
}

/// What a worker keeps of a WebRTC peer beside its session. Used by its worker's thread only.
final class PeerCare {
    /// Its name before the last restart, under which checks may still be under way (RFC 8839 §4.4.3.1.1).
    var olderName: String?
    /// The worker's number for the handshake that is under way.
    var handshake: UInt64?
    /// When the worker looks at the peer next, ns.
    var lookAt: Int64?
    /// How many ICE checks it may make.
    var checks = TokenBucket()
    /// How many DTLS records it may send.
    var records = TokenBucket()
}

/// How a participant hears, as it reports. Used by its worker's thread only.
final class Hearing {
    var reception = RemoteReception()
    /// When the home was last told that it hears badly.
    var slowAt: Int64 = 0
}

/// What comes from a participant. Used by its worker's thread only.
final class Uplink {
    var reception = ReceptionStatistics()
    var gate = VoiceGate()
    var flow = MediaFlow()
    var kept: [KeptPacket] = []
    /// What is older at the grant belongs to something that was said before the wait for the floor, ns.
    private static let keptNs: Int64 = 500_000_000

    /// The voice that asked for the floor, as far as it is what is being said now.
    func takeKept(at now: Int64) -> [KeptPacket] {
        defer { kept = [] }
        return kept.filter { now - $0.arrivalNs < Uplink.keptNs }
    }

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
