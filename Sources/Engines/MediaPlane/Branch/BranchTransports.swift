import RTP
import Reactor
import Room
import Talk

// Transports come and go, as the rooms' homes say.
extension MediaWorker {
    func perform(_ command: BranchCommand, _ gid: GroupID) {
        if case .open(let home, let main, let override, let implicitRequest, let isOpen) = command {
            let branch = branches[gid] ?? Branch(gid: gid, home: home, main: BranchStream(ssrc: main, outlet))
            branches[gid] = branch
            branch.isOpen = isOpen
            update(branch, override: override, implicitRequest: implicitRequest)
            return
        }
        guard let branch = branches[gid] else { return }
        switch command {
        case .open: break
        case .host(let hosting): host(hosting, nil, in: branch)
        case .adopt(let hosting, let from): adopt(hosting, from: from, in: branch)
        case .unhost(let uid, let generation):
            guard let transport = branch.transports[uid], transport.generation == generation else { return }
            branch.transports[uid] = nil
            branch.radios.removeAll { $0 == uid }
            retire(transport)
        case .describe(let uid, let terms):
            guard let transport = branch.transports[uid] else { return }
            silence(transport)
            let before = transport.peer
            if let forgotten = transport.describe(terms, at: Clocks.monotonicNs()) { latches[forgotten] = nil }
            latches[terms.latch.username] = transport
            if transport.peer !== before { forgetHandshake(of: transport) }
            watch(transport)
            listen(transport)
            rearrange(transport)
        case .suspend(let uid, let suspended):
            guard let transport = branch.transports[uid] else { return }
            transport.isSuspended = suspended
            listen(transport)
        case .signalsByRTCP(let uid): if !branch.radios.contains(uid) { branch.radios.append(uid) }
        case .control(let bytes, let uid, let except):
            if let uid {
                if let transport = branch.transports[uid] { send(bytes, to: transport) }
            } else {
                for radio in branch.radios where radio != except {
                    if let transport = branch.transports[radio] { send(bytes, to: transport) }
                }
            }
        case .resetReception(let uid): branch.transports[uid]?.uplink.reception = ReceptionStatistics()
        case .close:
            for transport in branch.transports.values { retire(transport) }
            branches[gid] = nil
            active.remove(gid)
        }
    }

    /// A room that allows a dual floor has a second stream, for everybody.
    func update(_ branch: Branch, override: UInt32?, implicitRequest: Bool) {
        branch.implicitRequest = implicitRequest
        guard let override, branch.override == nil else { return }
        branch.override = BranchStream(ssrc: override, outlet)
        for transport in branch.transports.values { listen(transport) }
    }

    private func host(_ hosting: Hosting, _ moved: Transport?, in branch: Branch) {
        let transport = moved ?? Transport(hosting, branch: branch, at: Clocks.monotonicNs())
        if let moved {
            moved.move(to: branch, hosting)
        } else {
            latches[transport.terms.latch.username] = transport
            watch(transport)
        }
        branch.transports[hosting.uid] = transport
        if hosting.usesRTCP, !branch.radios.contains(hosting.uid) { branch.radios.append(hosting.uid) }
        // A stay that takes over the floor's holder goes on talking.
        if branch.main.talker == hosting.uid { branch.main.talkerTransport = transport }
        if let override = branch.override, override.talker == hosting.uid { override.talkerTransport = transport }
        if moved == nil, let declared = hosting.terms.media.address {
            transport.declared = declared
            take(declared, for: transport)
            if settings.trustedNetworks.contains(where: { declared.isIn($0) }) { transport.address = declared }
        }
        listen(transport)
        rearrange(transport)
    }

    /// Takes a transport along from another room of this worker; where that is gone meanwhile, the device must show itself again.
    private func adopt(_ hosting: Hosting, from: GroupID, in branch: Branch) {
        guard let old = branches[from], let transport = old.transports[hosting.uid] else {
            map.count(onWorker: index, by: 1)
            host(hosting, nil, in: branch)
            return
        }
        silence(transport)
        old.transports[hosting.uid] = nil
        old.radios.removeAll { $0 == hosting.uid }
        for stream in [old.main, old.override] where stream?.talkerTransport === transport { stream?.talkerTransport = nil }
        for address in addresses(of: transport) { map.release(address, of: holder(transport)) }
        host(hosting, transport, in: branch)
        for address in addresses(of: transport) { _ = map.hold(address, holder(transport)) }
        // What ended on the way was told the old room, which had let go of it.
        if transport.peer?.isOver == true { report(.link(.isDown("the peer left")), about: transport) }
    }

    /// Takes a transport out of its room's streams; its addresses are free.
    private func retire(_ transport: Transport) {
        let branch = transport.branch
        transport.isRetired = true
        sayGoodbye(transport)
        outlet.streams?.close(of: ObjectIdentifier(transport))
        silence(transport)
        for stream in [branch.main, branch.override] where stream?.talkerTransport === transport { stream?.talkerTransport = nil }
        for address in addresses(of: transport) { giveUp(address, of: transport) }
        for name in transport.latchNames where latches[name] === transport { latches[name] = nil }
        peers[ObjectIdentifier(transport)] = nil
        forgetHandshake(of: transport)
        flowing[ObjectIdentifier(transport)] = nil
        map.count(onWorker: index, by: -1)
    }

    // MARK: Addresses

    /// Where it is, where it said it was, and where it was proved to be.
    private func addresses(of transport: Transport) -> Set<SocketAddress> {
        Set([transport.address, transport.declared].compactMap { $0 } + (transport.peer?.paths ?? []))
    }

    private func holder(_ transport: Transport) -> PlaneMap.Holder {
        PlaneMap.Holder(worker: index, gid: transport.branch.gid, uid: transport.uid)
    }

    /// An address goes over to a transport: who had it gets no more media there.
    func take(_ address: SocketAddress, for transport: Transport) {
        if let other = sources[address], other !== transport { release(address, of: other) }
        sources[address] = transport
        // A connection is one worker's: nobody else can have it.
        guard !address.isTCP else { return }
        if let before = map.hold(address, holder(transport)), before.worker != index {
            mailboxes[before.worker].post(.released(address, before.gid, before.uid))
        }
    }

    /// An address that is another's now: no more media goes there.
    func release(_ address: SocketAddress, of transport: Transport) {
        if sources[address] === transport { sources[address] = nil }
        if transport.address == address {
            transport.address = nil
            silence(transport)
        }
        // Its own next check may well come from there.
        transport.peer?.lose(address)
        if transport.declared == address { transport.declared = nil }
    }

    /// A transport has no more use for an address.
    func giveUp(_ address: SocketAddress, of transport: Transport) {
        if sources[address] === transport { sources[address] = nil }
        map.release(address, of: holder(transport))
    }

    /// A datagram that is no media: RTCP, STUN, DTLS.
    func send(_ datagram: [UInt8], to address: SocketAddress) {
        if address.isTCP { outlet.streams?.send(datagram, to: address) } else { outlet.socket.sender.send(datagram, to: address) }
    }

    // MARK: Listening

    /// Puts a transport into the streams that it is to hear, or takes it out. One that has left meanwhile stays out.
    func listen(_ transport: Transport) {
        guard !transport.isRetired else { return }
        guard let address = transport.address, transport.isReady, !transport.isSuspended else {
            silence(transport)
            return
        }
        fanOut(of: transport).add(transport.main, to: address)
        guard let overriding = overrideFanOut(of: transport) else { return }
        if let before = transport.overrideFanOut, before !== overriding { before.remove(transport.override) }
        overriding.add(transport.override, to: address)
        transport.overrideFanOut = overriding
    }

    /// In an open room who is heard hears a mix without themselves.
    private func fanOut(of transport: Transport) -> FanOut { transport.branch.solos[transport.uid] ?? transport.branch.main.fanOut }

    func silence(_ transport: Transport) {
        fanOut(of: transport).remove(transport.main)
        transport.overrideFanOut?.remove(transport.override)
        transport.overrideFanOut = nil
    }
}
