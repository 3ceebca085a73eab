import CLinux
import Floor
import Glibc
import Messages
import Mixer
import Reactor
import Recorder
import Room
import Talk

/// The loop that owns a UDP port, the rooms at home here, and the branches of rooms at home elsewhere. Made and used on one thread.
final class MediaWorker {
    let index: Int
    let outlet: Outlet
    private var socket: UDPSocket { outlet.socket }
    let settings: MediaSettings
    let addresses: [SocketAddress]
    let ownAddresses: OwnAddresses
    let output: any MediaPlaneOutput
    let ring: RecorderRing
    let counters: PlaneCounters
    let map: PlaneMap
    let mailboxes: [Mailbox<WorkerMessage>]
    let mailbox: Mailbox<WorkerMessage>
    let links: BranchRings
    let bell: Bell
    private let incoming: [BranchRing]
    var random = SystemRandomNumberGenerator()

    // At home here.
    var rooms: [GroupID: RoomHost] = [:]
    /// The door of each handle that is in a room, and in which: who changes rooms is in both for a moment.
    var doors: [EndpointID: (door: any Door, gid: GroupID)] = [:]
    var ownership = Ownership(states: [], partition: { _ in 0 })
    var joins: [UInt64: PendingJoin] = [:]
    var parked: [ParkedRequest] = []
    var nextToken: UInt64 = 1
    /// Open rooms where somebody was heard lately.
    var mixing: Set<GroupID> = []
    /// Rooms where one talks over another, and peers here hear both as one.
    var blending: Set<GroupID> = []
    private var mixAt: MonotonicNs?
    /// Rooms where something is being played.
    var announcing: Set<GroupID> = []

    // Transports here.
    var branches: [GroupID: Branch] = [:]
    var sources: [SocketAddress: Transport] = [:]
    var latches: [String: Transport] = [:]
    /// Those with a WebRTC peer.
    var peers: [ObjectIdentifier: Transport] = [:]
    /// When peers are to be looked at: each stands here once, for where it is not heard any more.
    var peerTimers = TimerHeap<ObjectIdentifier>()
    /// Those whose handshake is under way, by its number.
    var handshakes: [UInt64: Transport] = [:]
    var nextHandshake: UInt64 = 1
    let desk: HandshakeDesk
    /// Those of them whose media comes: these are looked at every second.
    var flowing: [ObjectIdentifier: Transport] = [:]
    /// What one participant may send.
    let rate: TokenBucket.Rate
    /// Rooms where somebody talks: only these are looked at every second.
    var active: Set<GroupID> = []
    /// Seconds in which somebody talked here, for reports.
    var seconds = 0
    /// A fan-out is under way: what would start another waits in `deferred`.
    var isFanningOut = false
    /// Taken from the mailbox, and not done yet.
    private var held: ArraySlice<WorkerMessage> = []
    /// The sockets were not read since.
    private var isHeldFresh = false
    var deferred: [() -> Void] = []

    /// Somebody joins, or is on the way to keys: others may follow.
    var isJoining = false
    private static let gatherUs: UInt32 = 1_000
    private var timers = TimerHeap<GroupID>()
    private var secondAt: MonotonicNs?
    private var isStopping = false
    private static let mailToken: UInt32 = 1
    private static let mediaToken: UInt32 = 2
    private static let bellToken: UInt32 = 3
    private static let streamToken: UInt32 = 4

    /// A request for a room that is being restored.
    struct ParkedRequest {
        var request: DoorRequest
        var gid: GroupID
        var token: UInt64
        var door: any Door
        var deadline: MonotonicNs
    }

    init(_ parts: WorkerParts) {
        (index, outlet) = (parts.index, parts.outlet)
        (settings, addresses, ownAddresses) = (parts.settings, parts.addresses, parts.own)
        (output, ring, counters) = (parts.output, parts.ring, parts.counters)
        desk = parts.desk
        rate = TokenBucket.Rate(perSecond: parts.settings.packetsPerSecond, burst: parts.settings.packetBurst)
        (map, mailboxes, links) = (parts.mail.map, parts.mail.mailboxes, parts.links)
        mailbox = mailboxes[index]
        bell = links.bell(of: index)
        incoming = links.incoming(to: index)
    }

    /// Runs until `.stop`.
    func run() {
        let poller = Poller()
        poller.watch(mailbox.descriptor, token: MediaWorker.mailToken)
        poller.watch(socket.descriptor, token: MediaWorker.mediaToken)
        poller.watch(bell.descriptor, token: MediaWorker.bellToken)
        if let streams = outlet.streams { poller.watch(streams.descriptor, token: MediaWorker.streamToken) }
        while !isStopping {
            let now = Clocks.monotonicNs()
            var (media, streams, mail) = (false, false, false)
            poller.wait(until: held.isEmpty ? nextDeadline(now) : now, now: now) { token in
                switch token {
                case MediaWorker.mailToken: mail = true
                case MediaWorker.bellToken: bell.quieten()
                case MediaWorker.streamToken: streams = true
                default: media = true
                }
            }
            // Media first: a release must not overtake the last packets of its talk. They were sent before it, so once it was taken from the
            // mailbox the sockets have them all, however long this thread waited for a core in between. What opened a talk was said before its
            // first packet was sent, and so is known by now.
            if mail, held.isEmpty { held = mailbox.take()[...] }
            let isSaid = !held.isEmpty
            isHeldFresh = false
            if media || isSaid { receive() }
            if streams || isSaid { receiveStreams() }
            // What was taken while they were read waits until they were read once more.
            if !isHeldFresh { handleHeld(upToRelease: false) }
            drainRings()
            tick()
            gather()
        }
        for room in rooms.values {
            run(room.machine.destroy(at: moment(), random: &random), in: room)
            endMix(of: room)
        }
    }

    /// While nobody is heard here a crowd that joins is taken a millisecond's worth at a time: a wake-up for each message of each join costs as
    /// much as all that is done for them. Who presses meanwhile waits as long at most.
    private func gather() {
        guard isJoining else { return }
        isJoining = false
        if active.isEmpty, mixing.isEmpty, blending.isEmpty, announcing.isEmpty { usleep(Self.gatherUs) }
    }

    /// Both clocks, now.
    func moment() -> Moment { Moment(monotonic: Clocks.monotonicNs(), wallMs: Clocks.wallMs()) }

    /// Whether something was said that may be done now: a cheap look.
    var hasMail: Bool { held.first.map { !$0.endsTalk } ?? mailbox.hasMessages }

    /// Does what was said, in its order, while media is at work: between datagrams, and between the batches of a large fan-out. A release waits
    /// with all behind it until the sockets were read: the last packets of its talk may be there.
    func drain() {
        handleHeld(upToRelease: true)
        guard held.isEmpty else { return }
        held = mailbox.take()[...]
        isHeldFresh = true
        handleHeld(upToRelease: true)
    }

    /// One by one, for whoever drains within goes on where this is.
    private func handleHeld(upToRelease: Bool) {
        while let message = held.first, !upToRelease || !message.endsTalk {
            held.removeFirst()
            handle(message)
        }
        // A slice keeps what was taken from it.
        if held.isEmpty { held = [] }
    }

    /// Takes what other workers sent. What they posted before it is handled before it.
    func drainRings() {
        for ring in incoming where ring.hasEntries {
            ring.drain(after: { if hasMail { drain() } }) { kind, head, payload in take(kind, head, payload) }
        }
    }

    private func handle(_ message: WorkerMessage) {
        switch message {
        case .input(let input): handle(input)
        case .arrive(let join): lookUp(join)
        case .depart(let gid, let uid, let endpoint): depart(gid, uid, endpoint)
        case .branch(let gid, let command): perform(command, gid)
        case .report(let gid, let uid, let generation, let report): take(report, of: uid, generation: generation, in: gid)
        case .detour(let request, let token, let door, let home): mailboxes[home].post(.behindMedia(request, token: token, door))
        case .behindMedia(let request, let token, let door): handle(request, token, door, isBehindMedia: true)
        case .released(let address, let gid, let uid):
            if let transport = branches[gid]?.transports[uid] { release(address, of: transport) }
        case .handshakes(let endings): for ending in endings { finish(ending) }
        case .datagram(let bytes, let address): send(bytes, to: address)
        case .list(let collector):
            collector.add(rooms.values.map { ($0.machine.identity, $0.machine.participants.count) })
        case .stop: isStopping = true
        }
    }

    private func handle(_ input: PlaneInput) {
        switch input {
        case .ownership(let ownership):
            self.ownership = ownership
            retryParked()
        case .restore(let record, let epoch): if isHome(of: record.gid, else: input) { restore(record, epoch: epoch) }
        case .close(let groups): for gid in groups { close(gid) }
        case .signal(let request, let epoch, let then):
            if case .create = request.body, !isHome(of: request.gid, else: input) { return }
            then(signal(request, epoch: epoch))
        case .door(let request, let token, let door): handle(request, token, door)
        case .lookedUp(let token, let answer): finishJoin(token, answer)
        case .roleCorrected(let gid, let uid, let generation, let role): correct(gid, uid, generation, role)
        }
    }

    /// Whether a room that is to be opened belongs here; else it goes on to where it does. Between its posting and now it may have been
    /// closed here, and be somewhere else.
    private func isHome(of gid: GroupID, else input: PlaneInput) -> Bool {
        let home = map.choose(for: gid)
        if home != index { mailboxes[home].post(.input(input)) }
        return home == index
    }

    /// Says something to a branch: at once where it is here, else by its worker's mailbox.
    func tell(_ command: BranchCommand, of gid: GroupID, on worker: Int) {
        if worker == index { perform(command, gid) } else { mailboxes[worker].post(.branch(gid, command)) }
    }

    private func receive() {
        // A few batches, then a look at the mailbox: a flood of media does not keep control waiting.
        for _ in 0..<8 {
            // What other workers said before these datagrams came is known before they are looked at.
            let count = socket.receive(before: { self.drainRings() }) { from, datagram in
                counters.received.increment()
                self.datagram(datagram, from: from)
            }
            if count < UDPSocket.receiveBatch { return }
            if hasMail { drain() }
        }
    }

    /// As `receive`, from the TCP connections.
    private func receiveStreams() {
        drainRings()
        outlet.streams?.work(at: Clocks.monotonicNs()) { from, datagram in
            counters.received.increment()
            self.datagram(datagram, from: from)
        }
        forgetClosed()
    }

    /// Who was on a connection that is gone hears nothing until another check comes.
    private func forgetClosed() {
        for address in outlet.streams?.takeClosed() ?? [] {
            if let transport = sources[address] { release(address, of: transport) }
        }
    }

    // MARK: Time

    private func nextDeadline(_ now: MonotonicNs) -> MonotonicNs? {
        if active.isEmpty, flowing.isEmpty { secondAt = nil } else if secondAt == nil { secondAt = now + 1_000_000_000 }
        if mixing.isEmpty, blending.isEmpty { mixAt = nil } else if mixAt == nil { mixAt = now + RoomMixer.tickNs }
        var earliest = timers.earliest
        for time in [secondAt, mixAt, announcementDeadline, parked.first?.deadline, peerTimers.earliest, outlet.streams?.deadline] {
            if let time { earliest = min(earliest ?? time, time) }
        }
        return earliest
    }

    private func tick() {
        let moment = moment()
        while let due = timers.pop(until: moment.monotonic) {
            guard let room = rooms[due.key], room.scheduledAt == due.at else { continue }
            room.scheduledAt = nil
            run(room.machine.tick(at: moment, random: &random), in: room)
            reschedule(room)
        }
        while let time = mixAt, time <= moment.monotonic {
            // Behind by more than a few, the clock is set anew: what was missed is not made up.
            mixAt = moment.monotonic - time > 5 * RoomMixer.tickNs ? moment.monotonic + RoomMixer.tickNs : time + RoomMixer.tickNs
            tickMixes(time)
            tickBlends(time)
        }
        if !announcing.isEmpty { tickAnnouncements(moment.monotonic) }
        if let time = secondAt, time <= moment.monotonic {
            secondAt = time + 1_000_000_000
            second(moment)
            watchFlows(moment.monotonic)
        }
        tickPeers(moment.monotonic)
        outlet.streams?.tick(at: moment.monotonic)
        forgetClosed()
        while let first = parked.first, first.deadline <= moment.monotonic {
            parked.removeFirst()
            let refusal = Refusal(.notReady, "room \(first.gid) is not ready on this node yet: try again")
            first.door.deliver(.answer(token: first.token, .failure(refusal)))
        }
    }

    /// Makes sure that the heap wakes a room in time; a later deadline is found when the earlier one comes.
    func reschedule(_ room: RoomHost) {
        guard let deadline = room.machine.nextDeadline else { return }
        if let scheduled = room.scheduledAt, scheduled <= deadline { return }
        room.scheduledAt = deadline
        timers.push(TimerHeap.Entry(at: deadline, key: room.gid))
    }
}
