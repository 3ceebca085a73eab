import Floor
import RTP
import Recorder
import Room
import Talk

/// One stream that a room numbers, and the burst that is on it.
final class RoomStream {
    let ssrc: UInt32
    var rewriter: StreamRewriter
    /// The talk that was granted; its recording starts with its first packet.
    var talk: TalkID?
    var recording: BurstHandle?
    /// The last burst on it is that of the announcement that is on air.
    var isAnnouncing = false

    init(ssrc: UInt32, sequence: UInt16, timestamp: UInt32, now: Int64) {
        self.ssrc = ssrc
        // Below 2^15, so that an SRTP listener's roll-over counter starts at 0 (RFC 3711 §3.3.1).
        rewriter = StreamRewriter(sequence: sequence & 0x7FFF, timestamp: timestamp, at: now)
    }
}

/// A room at its home: the machine that decides, and the numbering of what it sends. Used by its worker's thread only.
final class RoomHost {
    var machine: RoomStateMachine
    let epoch: Int64
    let main: RoomStream
    /// There where the room allows a dual floor.
    var override: RoomStream?
    /// The participants on this worker.
    let branch: Branch
    /// The mix of an open room; nil where the floor decides.
    var mix: OpenMix?
    /// Where else the stream goes, and their places in the fan-out.
    var forwarders: [UInt32: (forwarder: Forwarder, listener: Listener)] = [:]
    /// What is being played, as it was asked for. In a PTT room the first is heard, and the others wait for it.
    var announcements: [Playing] = []
    /// Where everybody's transport is.
    var places: [UserID: Place] = [:]
    /// How many are on each worker; a worker other than the home that ever had somebody has a branch.
    var counts: [Int]
    /// The other workers that have a branch.
    var branches: [Int] = []
    /// When the timer heap wakes it; nil: not at all.
    var scheduledAt: MonotonicNs?
    /// Endpoints by what they want to be told, made anew after a join or leave.
    var audience: Audience?

    /// Where a participant's transport is, and what its device was told of it.
    struct Place {
        var worker: Int
        var generation: UInt64
        var terms: MediaTerms
    }
    /// Who is told what; shared with the doors without a copy.
    struct Audience {
        var all: [EndpointID] = []
        var followers: [EndpointID] = []
    }

    init(_ machine: RoomStateMachine, epoch: Int64, main: RoomStream, branch: Branch, workers: Int) {
        (self.machine, self.epoch, self.main, self.branch) = (machine, epoch, main, branch)
        counts = Array(repeating: 0, count: workers)
        branch.room = self
    }

    var gid: GroupID { machine.identity.gid }

    /// What is played now.
    var onAir: ArraySlice<Playing> { mix == nil ? announcements.prefix(1) : announcements[...] }

    func stream(_ which: FloorStream) -> RoomStream? { which == .main ? main : override }

    /// The endpoints to tell, but for one.
    func endpoints(followersOnly: Bool, except uid: UserID?, notifyMax: Int) -> [EndpointID] {
        if audience == nil {
            var fresh = Audience()
            let small = machine.participants.count <= notifyMax
            for participant in machine.participants.values where participant.events != EventInterest.none {
                fresh.all.append(participant.endpoint)
                if participant.events == .all || (participant.events == nil && small) { fresh.followers.append(participant.endpoint) }
            }
            audience = fresh
        }
        guard let audience else { return [] }
        let list = followersOnly ? audience.followers : audience.all
        guard let uid, let endpoint = machine.participants[uid]?.endpoint else { return list }
        return list.filter { $0 != endpoint }
    }
}
