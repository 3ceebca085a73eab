import DTLS
import ICE
import Reactor

/// A WebRTC participant's ICE and DTLS. Used by its worker's thread only.
final class WebRTCPeer {
    /// How far it is.
    enum State {
        /// No valid check has come.
        case waiting
        /// There is a path; DTLS is under way.
        case handshake
        /// There are keys.
        case up
        /// The peer is gone.
        case over
    }
    private(set) var offer: WebRTCOffer
    var agent: ICEAgent<SocketAddress>
    /// Made with the first valid check, so that half-open peers cost little.
    var dtls: DTLSSession?
    var state = State.waiting
    /// When a peer that has no keys by then is given up, ns.
    let handshakeEndsAt: Int64
    private static let handshakeNs: Int64 = 30_000_000_000

    init(_ offer: WebRTCOffer, latch: (username: String, password: String)) {
        self.offer = offer
        let now = Clocks.monotonicNs()
        agent = ICEAgent(local: ICECredentials(ufrag: latch.username, password: latch.password), remote: offer.credentials, now: now)
        handshakeEndsAt = now + WebRTCPeer.handshakeNs
    }

    /// The same peer with new ICE credentials: DTLS and the keys stay (RFC 8445 §9).
    func restart(_ offer: WebRTCOffer, latch: (username: String, password: String)) {
        self.offer = offer
        let local = ICECredentials(ufrag: latch.username, password: latch.password)
        guard local != agent.local || offer.credentials != agent.remote else { return }
        agent.restart(local: local, remote: offer.credentials, now: Clocks.monotonicNs())
    }
}
