import DTLS
import Floor
import RTP
import Reactor
import Room
import STUN
import SecureRTP
import Talk

// A branch's part of the packet path: a datagram comes in and goes to the room's home; what the home numbered goes out to everybody here.
extension MediaWorker {
    func datagram(_ datagram: UnsafeMutableRawBufferPointer, from source: SocketAddress) {
        let bytes = UnsafeRawBufferPointer(datagram).bindMemory(to: UInt8.self).span
        guard !bytes.isEmpty else {
            counters.garbage.increment()
            return
        }
        if STUNMessage.isSTUN(bytes) {
            check(bytes, from: source)
            return
        }
        guard let transport = sources[source] ?? afterMail({ self.sources[source] }) else {
            counters.unknownSource.increment()
            return
        }
        // The keys of a peer whose media comes already may stand in the mailbox.
        if transport.peer != nil, transport.receiver == nil, hasMail { drain() }
        let now = Clocks.monotonicNs()
        if let peer = transport.peer, transport.receiver == nil || DTLSSession.isDTLS(bytes[0]) {
            // A rate of its own: who forges records must not use up what the peer's media may take.
            if isWithin(&transport.care.records, now) {
                handshake(UnsafeRawBufferPointer(datagram), peer, transport, from: source, now)
            }
            return
        }
        guard let receiver = transport.receiver else {
            if isWithin(&transport.bucket, now) { packet(UnsafeRawBufferPointer(datagram), from: transport, at: source, now) }
            return
        }
        // Only what is authentic is looked at, counts for the rate, and shows where its sender is.
        do throws(SRTPError) {
            let size = try RTPHeader.isRTCP(bytes) ? receiver.unprotectRTCP(datagram) : receiver.unprotect(datagram)
            guard isWithin(&transport.bucket, now) else { return }
            if let peer = transport.peer {
                let events = peer.heard(from: source, at: now)
                if !events.isEmpty { perform(events, of: transport) }
            }
            packet(UnsafeRawBufferPointer(rebasing: datagram[..<size]), from: transport, at: source, now)
        } catch {
            counters.forged.increment()
        }
    }

    /// Whether somebody may still send, by a rate; else what came is dropped and counted.
    private func isWithin(_ bucket: inout TokenBucket, _ now: Int64) -> Bool {
        if bucket.take(at: now, rate) { return true }
        counters.overRate.increment()
        return false
    }

    /// What is not known here may stand in the mailbox: a device that was just told of its place sends at once.
    func afterMail(_ find: () -> Transport?) -> Transport? {
        guard hasMail else { return nil }
        drain()
        return find()
    }

    private func packet(_ datagram: UnsafeRawBufferPointer, from transport: Transport, at source: SocketAddress, _ now: Int64) {
        let bytes = datagram.bindMemory(to: UInt8.self).span
        if RTPHeader.isRTCP(bytes) {
            seen(transport, at: source)
            rtcp(bytes, from: transport, now)
            return
        }
        guard let header = RTPHeader(bytes, levelExtension: transport.terms.media.levelExtension),
            header.payloadType == transport.terms.media.payloadType,
            header.payloadSize <= FanOut.payloadMaximum
        else {
            counters.garbage.increment()
            return
        }
        seen(transport, at: source)
        // An empty packet keeps a NAT open and is nothing to hear.
        guard header.payloadSize > 0, let start = datagram.baseAddress else { return }
        if transport.peer != nil, transport.uplink.flow.packet(at: now) {
            flowing[ObjectIdentifier(transport)] = transport
            report(.link(.isReceiving(true)), about: transport)
        }
        let payload = UnsafeRawBufferPointer(start: start + header.payloadOffset, count: header.payloadSize)
        media(header, payload, from: transport, now)
    }

    /// Something came from where the participant said it was: media may go there.
    private func seen(_ transport: Transport, at source: SocketAddress) {
        guard transport.address == nil else { return }
        transport.address = source
        listen(transport)
    }

    private func media(_ header: RTPHeader, _ payload: UnsafeRawBufferPointer, from transport: Transport, _ now: Int64) {
        let branch = transport.branch
        if branch.isOpen {
            transport.uplink.reception.packet(ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp, arrivalNs: now)
            uplink(header, payload, from: transport, now)
            return
        }
        guard branch.main.talkerTransport === transport || branch.override?.talkerTransport === transport else {
            counters.withoutFloor.increment()
            if branch.implicitRequest {
                listenForVoice(header, payload, from: transport, now)
            } else {
                stray(transport, now)
            }
            return
        }
        transport.uplink.reception.packet(ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp, arrivalNs: now)
        uplink(header, payload, from: transport, now)
    }

    /// To the home: at once where it is here, else through the ring.
    private func uplink(_ header: RTPHeader, _ payload: UnsafeRawBufferPointer, from transport: Transport, _ now: Int64) {
        let branch = transport.branch
        if let room = branch.room {
            let packet = Arrival(
                ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp, marker: header.marker,
                level: header.level, atNs: now)
            forward(packet, payload, from: transport.uid, in: room)
            return
        }
        var head = BranchRing.Head(kind: .uplink, stream: .main, gid: branch.gid, uid: transport.uid)
        (head.ssrc, head.sequence, head.timestamp) = (header.ssrc, header.sequence, header.timestamp)
        (head.marker, head.level, head.arrivalNs) = (header.marker, header.level ?? BranchRing.Head.noLevel, now)
        send(head, payload: payload, to: branch.home)
    }

    // MARK: Open rooms

    /// Somebody is heard from now on, and hears a mix of their own; or not any more.
    func setSolo(_ uid: UserID, _ isHeard: Bool, in branch: Branch) {
        guard isHeard == (branch.solos[uid] == nil) else { return }
        let transport = branch.transports[uid]
        if let transport { silence(transport) }
        branch.solos[uid] = isHeard ? FanOut(outlet) : nil
        if let transport {
            listen(transport)
            if !isHeard { reportTalker(transport) }
        }
        if isHeard {
            if active.insert(branch.gid).inserted { branch.activeSeconds = 0 }
        } else if !branch.isActive {
            active.remove(branch.gid)
        }
    }

    /// Sends somebody the mix without themselves.
    func transmitSolo(_ place: StreamRewriter.Place, _ payload: UnsafeRawBufferPointer, to uid: UserID, in branch: Branch) {
        guard let fanOut = branch.solos[uid], fanOut.count > 0 else { return }
        let packet = FanOut.Packet(place: place, ssrc: branch.main.ssrc, payload: payload, talker: nil, dualOnly: false)
        fanOut.send(packet) {}
    }

    /// Sends what the home numbered.
    func transmit(
        _ place: StreamRewriter.Place, _ payload: UnsafeRawBufferPointer, on which: FloorStream, dualOnly: Bool, in branch: Branch
    ) {
        guard let stream = branch.stream(which) else { return }
        stream.timestamp = place.timestamp
        if dualOnly || which == .override { blend(place, payload, of: stream.talker, in: branch) }
        guard stream.fanOut.count > 0 else {
            stream.fanOut.pass(payload.count)
            return
        }
        let before = stream.fanOut.counts
        let talker = stream.talkerTransport.map { which == .main ? $0.main : $0.override }
        let packet = FanOut.Packet(place: place, ssrc: stream.ssrc, payload: payload, talker: talker, dualOnly: dualOnly)
        isFanningOut = true
        stream.fanOut.send(packet) { if hasMail { drain() } }
        isFanningOut = false
        counters.sent.increment(by: Int(stream.fanOut.counts.sent &- before.sent))
        let refused = stream.fanOut.counts.refusedByKernel &- before.refusedByKernel
        if refused > 0 { counters.refused.increment(by: Int(refused)) }
        if !deferred.isEmpty {
            let waiting = deferred
            deferred = []
            for work in waiting { work() }
        }
    }

    // MARK: Bursts

    /// Somebody has the floor of a stream from now on.
    func open(_ which: FloorStream, _ uid: UserID, in branch: Branch) {
        guard let stream = branch.stream(which) else { return }
        stream.talker = uid
        stream.talkerTransport = branch.transports[uid]
        stream.countsAtOpening = stream.fanOut.counts
        if branch.override != nil { stream.fanOut.resettle() }
        if active.insert(branch.gid).inserted { branch.activeSeconds = 0 }
        guard let transport = stream.talkerTransport else { return }
        rearrange(transport)
        transport.uplink.reception.burst()
        guard !transport.uplink.kept.isEmpty else { return }
        // The voice that asked for the floor is heard too.
        if isFanningOut { deferred.append { [self] in sendKept(transport) } } else { sendKept(transport) }
    }

    private func sendKept(_ transport: Transport) {
        guard !transport.isRetired else { return }
        for packet in transport.uplink.takeKept(at: Clocks.monotonicNs()) {
            packet.payload.withUnsafeBytes { payload in
                transport.uplink.reception.packet(
                    ssrc: packet.header.ssrc, sequence: packet.header.sequence, timestamp: packet.header.timestamp,
                    arrivalNs: packet.arrivalNs)
                uplink(packet.header, payload, from: transport, packet.arrivalNs)
            }
        }
    }

    /// The burst is over.
    func close(_ which: FloorStream, _ uid: UserID, length: UInt16, in branch: Branch) {
        guard let stream = branch.stream(which) else { return }
        if let transport = stream.talkerTransport {
            // It did not hear itself: its numbering goes on as if there had been nothing.
            let listener = which == .main ? transport.main : transport.override
            listener.sequenceOffset &+= length
            listener.baseline.packets &+= stream.fanOut.counts.packets &- stream.countsAtOpening.packets
            listener.baseline.octets &+= stream.fanOut.counts.octets &- stream.countsAtOpening.octets
            stream.fanOut.reform(listener)
            transport.uplink.gate.reset()
            transport.uplink.kept = []
            reportTalker(transport)
        }
        branch.blend?.mixer.remove(uid)
        let silent = stream.talkerTransport
        stream.talker = nil
        stream.talkerTransport = nil
        if let silent { rearrange(silent) }
        if which == .override {
            blending.remove(branch.gid)
            branch.main.fanOut.resettle()
        }
        if !branch.isActive { active.remove(branch.gid) }
    }

    // MARK: Media without the floor

    /// Tells the home now and then that somebody talks who must not; it decides whether they are told.
    private func stray(_ transport: Transport, _ now: Int64) {
        guard now &- transport.strayedAt >= 250_000_000 || transport.strayedAt == 0 else { return }
        transport.strayedAt = now
        report(.stray, about: transport)
    }

    /// Voice of somebody without the floor, in a room where that is a request.
    private func listenForVoice(_ header: RTPHeader, _ payload: UnsafeRawBufferPointer, from transport: Transport, _ now: Int64) {
        guard VoiceGate.isVoice(level: header.level, payloadSize: header.payloadSize) else { return }
        transport.uplink.kept.append(Uplink.KeptPacket(header: header, payload: Array(payload), arrivalNs: now))
        if transport.uplink.kept.count > 3 { transport.uplink.kept.removeFirst() }
        if transport.uplink.gate.voice(at: now) { report(.voice, about: transport) }
    }

    /// Says something about somebody to the room's home.
    func report(_ report: BranchReport, about transport: Transport) {
        let branch = transport.branch
        if branch.room != nil {
            take(report, of: transport.uid, generation: transport.generation, in: branch.gid)
        } else {
            mailboxes[branch.home].post(.report(branch.gid, transport.uid, generation: transport.generation, report))
        }
    }
}
