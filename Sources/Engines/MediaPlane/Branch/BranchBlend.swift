import Floor
import Mixer
import RTP
import Reactor
import Talk

/// Both voices of a dual floor as one stream, for peers that wish to hear both and can hear one stream only (WebRTC), on one worker. Used by
/// its thread only.
final class Blend {
    let fanOut: FanOut
    let mixer = PairMixer()
    var rewriter: StreamRewriter
    /// Ticks and packets since it was made: the blend's own clock and numbering.
    var ticks: UInt32 = 0
    var sent: UInt16 = 0

    init(_ outlet: Outlet, clock: UInt32, at now: Int64) {
        fanOut = FanOut(outlet)
        rewriter = StreamRewriter(sequence: 0, timestamp: clock, at: now)
    }
}

extension MediaWorker {
    /// Where a transport hears the override.
    func overrideFanOut(of transport: Transport) -> FanOut? {
        let branch = transport.branch
        guard let override = branch.override else { return nil }
        // Who talks hears the other alone.
        guard transport.hearsBlend, branch.stream(of: transport.uid) == nil else { return override.fanOut }
        let now = Clocks.monotonicNs()
        let blend = branch.blend ?? Blend(outlet, clock: streamClock(now), at: now)
        branch.blend = blend
        return blend.fanOut
    }

    /// A packet of either voice, while there are two.
    func blend(_ place: StreamRewriter.Place, _ payload: UnsafeRawBufferPointer, of uid: UserID?, in branch: Branch) {
        guard let blend = branch.blend, blend.fanOut.count > 0, let uid else { return }
        if blending.insert(branch.gid).inserted {
            blend.rewriter.beginBurst()
            blend.fanOut.resettle()
        }
        blend.mixer.push(uid, sequence: place.sequence, payload: payload, now: Clocks.monotonicNs())
    }

    /// Somebody began or ceased to talk in a dual-floor room, or is there anew while they talk: they hear something else now.
    func rearrange(_ transport: Transport) {
        guard transport.hearsBlend else { return }
        transport.main.dual = transport.branch.override?.talkerTransport === transport
        transport.branch.main.fanOut.reform(transport.main)
        if isFanningOut { deferred.append { [self] in listen(transport) } } else { listen(transport) }
    }

    /// Every 20 ms, for the rooms where one talks over another.
    func tickBlends(_ now: Int64) {
        for gid in blending {
            guard let branch = branches[gid], let blend = branch.blend, branch.override?.talker != nil else {
                blending.remove(gid)
                continue
            }
            blend.ticks &+= 1
            guard let payload = blend.mixer.tick(now) else { continue }
            blend.sent &+= 1
            guard let place = blend.rewriter.place(ssrc: 1, sequence: blend.sent, timestamp: blend.ticks &* 960, now: now) else { continue }
            payload.withUnsafeBytes { payload in
                let packet = FanOut.Packet(place: place, ssrc: branch.main.ssrc, payload: payload, talker: nil, dualOnly: false)
                blend.fanOut.send(packet) {}
            }
        }
    }
}
