import Floor
import Messages
import RTP
import Reactor
import Room
import Talk

// RTCP: floor control of radios, reports both ways, and link quality.
extension MediaWorker {
    func rtcp(_ bytes: Span<UInt8>, from transport: Transport, _ now: MonotonicNs) {
        let packets = RTCPPacket.read(bytes)
        if packets.isEmpty { counters.garbage.increment() }
        for packet in packets {
            switch packet {
            case .senderReport(_, let ntp, _, _, _, let blocks):
                transport.uplink.reception.senderReport(ntp: ntp, at: now)
                take(blocks, of: transport, now)
            case .receiverReport(_, let blocks): take(blocks, of: transport, now)
            case .application:
                if let message = MCPTMessage(packet) { floor(message, from: transport) }
            case .bye(let sources):
                // Who ends their stream talks no more, whether or not they say so.
                guard transport.branch.stream(of: transport.uid) != nil, sources.contains(transport.reception.ssrc) else { break }
                report(.floor(.release(transport.uid)), about: transport)
            case .other: break
            }
        }
    }

    private func take(_ blocks: [ReportBlock], of transport: Transport, _ now: MonotonicNs) {
        for block in blocks where block.ssrc == transport.heardSSRC {
            transport.hearing.reception.report(block, nowNTP: Clocks.ntp())
            let (sent, lost) = transport.hearing.reception.latest
            // As with its own media: once a second at most, however often it reports.
            guard transport.peer != nil, MediaFlow.isSlow(lost: lost, of: sent), now - transport.hearing.slowAt >= 1_000_000_000 else {
                continue
            }
            transport.hearing.slowAt = now
            report(.link(.isSlow(isHeard: true, lost: Int(lost))), about: transport)
        }
    }

    // MARK: MCPT

    private func floor(_ message: MCPTMessage, from transport: Transport) {
        let (branch, uid) = (transport.branch, transport.uid)
        if !branch.radios.contains(uid) {
            branch.radios.append(uid)
            report(.signalsByRTCP, about: transport)
        }
        if message.wantsAck {
            let ack = MCPTMessage(.ack, ssrc: branch.main.ssrc, fields: [.source(2), .messageType(message.kind.rawValue)])
            send(ack.encoded, to: transport)
        }
        switch message.kind {
        case .request where message.indicator.contains(.emergency): report(.floor(.emergency(uid)), about: transport)
        case .request:
            let tier: Tier = message.indicator.contains(.imminentPeril) ? .imminentPeril : .normal
            report(.floor(.request(uid, tier: tier, priority: message.priority, queue: nil)), about: transport)
        case .release: report(.floor(.release(uid)), about: transport)
        case .queuePositionRequest: report(.floor(.position(uid)), about: transport)
        case .granted, .taken, .deny, .idle, .revoke, .queuePositionInfo, .ack: break
        }
    }

    /// Sends RTCP where the participant is, once that is known.
    func send(_ bytes: [UInt8], to transport: Transport) {
        guard let address = transport.address, transport.isReady else { return }
        guard let sender = transport.sender else {
            send(bytes, to: address)
            return
        }
        var packet = bytes + [UInt8](repeating: 0, count: sender.suite.rtcpOverhead)
        let size = try? packet.withUnsafeMutableBytes { try sender.protectRTCP($0, count: bytes.count) }
        if size == packet.count { send(packet, to: address) }
    }

    // MARK: Reports

    /// Once a second, for the rooms where somebody talks: reports, and quality.
    func second(_ moment: Moment) {
        seconds &+= 1
        // Each worker has its part of what the node may say, and in turn one more of what doesn't divide.
        var budget = (settings.qualityMaxPerSecond + (index + seconds) % addresses.count) / addresses.count
        let listeners = active.reduce(0) { $0 + (branches[$1]?.transports.count ?? 0) }
        // Where there are more, each has their turn every so many rounds of ten seconds.
        let rounds = max(1, (listeners + 10 * budget - 1) / max(1, 10 * budget))
        for gid in active {
            guard let branch = branches[gid] else { continue }
            branch.activeSeconds += 1
            if branch.implicitRequest { lookForSilence(in: branch, moment.monotonic) }
            for (place, transport) in branch.transports.values.enumerated() {
                // Thousands of reports take milliseconds; a press does not wait for them.
                if place % ListenerTable.batch == ListenerTable.batch - 1, hasMail { drain() }
                guard !branch.isTalking(transport.uid) else {
                    if branch.activeSeconds % 5 == 0 { reportTalker(transport) }
                    continue
                }
                // Everybody has their own second of the five and the ten, so that the reports spread; over the bursts, for many are short.
                let phase = Int(truncatingIfNeeded: transport.uid.value) &+ seconds
                if phase % 5 == 0 { reportListener(transport) }
                if phase % 10 == 0, budget > 0, (phase / 10) % rounds == 0, transport.address != nil {
                    budget -= 1
                    output.publish(quality(of: transport, isTalker: false))
                }
            }
        }
    }

    /// Voice that asked for the floor and is over does not wait any longer.
    private func lookForSilence(in branch: Branch, _ now: MonotonicNs) {
        for transport in branch.transports.values where transport.hasSent && !branch.isTalking(transport.uid) {
            guard transport.uplink.gate.hasEnded(at: now, after: Int64(settings.rules.floor.t1Ms) * 1_000_000) else { continue }
            transport.uplink.gate.reset()
            transport.uplink.kept = []
            report(.silence, about: transport)
        }
    }

    /// Once a second, for the peers whose media comes: whether it still does, and how much is lost.
    func watchFlows(_ now: MonotonicNs) {
        for transport in Array(flowing.values) {
            let reception = transport.reception
            let second = transport.uplink.flow.second(at: now, expected: reception.expected, received: reception.received)
            if let lost = second.lost { report(.link(.isSlow(isHeard: false, lost: lost)), about: transport) }
            if second.isSilent { report(.link(.isReceiving(false)), about: transport) }
            if !transport.uplink.flow.isReceiving { flowing[ObjectIdentifier(transport)] = nil }
        }
    }

    /// A receiver report to who talks, and its quality to the consoles.
    func reportTalker(_ transport: Transport) {
        guard transport.reception.received > 0 else { return }
        transport.uplink.reception.interval()
        let ssrc = transport.heardSSRC
        if transport.address != nil, let block = transport.reception.block(at: Clocks.monotonicNs()) {
            send(RTCPPacket.receiverReport(ssrc: ssrc, blocks: [block]).encoded + RTCPPacket.cname("talkburst", ssrc: ssrc), to: transport)
        }
        output.publish(quality(of: transport, isTalker: true))
    }

    /// A sender report on what a listener was sent.
    private func reportListener(_ transport: Transport) {
        guard transport.main.index != nil else { return }
        let stream = transport.branch.main
        let counts = stream.fanOut.counts
        let report = RTCPPacket.senderReport(
            ssrc: transport.heardSSRC, ntp: Clocks.ntp(), timestamp: stream.timestamp,
            packets: UInt32(truncatingIfNeeded: counts.packets &- transport.main.baseline.packets),
            octets: UInt32(truncatingIfNeeded: counts.octets &- transport.main.baseline.octets), blocks: [])
        send(report.encoded + RTCPPacket.cname("talkburst", ssrc: transport.heardSSRC), to: transport)
    }

    private func quality(of transport: Transport, isTalker: Bool) -> QualityMessage {
        let (reception, remote) = (transport.reception, transport.remote)
        return QualityMessage(
            uid: transport.uid, gid: transport.branch.gid, isTalker: isTalker, inLink: reception.quality.percent,
            inMediaLink: reception.quality.percent, outLink: remote.quality.percent, outMediaLink: remote.quality.percent,
            rttMs: remote.rttMs, jitterMs: isTalker ? reception.jitterMs : remote.jitterMs,
            lost: isTalker ? reception.lost : remote.lost, received: isTalker ? reception.received : remote.received,
            atMs: Clocks.wallMs())
    }
}
