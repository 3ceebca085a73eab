import Floor
import Messages
import Room
import Synchronization
import Talk

/// What the media plane is told from outside.
public enum PlaneInput: Sendable {
    /// Which partitions' rooms are this node's.
    case ownership(Ownership)
    /// A room as `ptt.rooms` keeps it.
    case restore(RoomRecord, epoch: Int64)
    /// The rooms of these groups are another node's now.
    case close([GroupID])
    /// A signal request for a room of this node, in the epoch of its partition. `then` is called on the room's worker, and must not wait.
    case signal(SignalRequest, epoch: Int64, then: @Sendable (SignalOutcome) -> Void)
    /// A door's request.
    case door(DoorRequest, token: UInt64, any Door)
    /// The answer to a role look-up of a join.
    case lookedUp(token: UInt64, RoleAnswer)
    /// A look-up that came late: corrects the stay of that generation.
    case roleCorrected(GroupID, UserID, generation: UInt64, Role)
}

/// What a worker is told, in order.
enum WorkerMessage: Sendable {
    /// From outside.
    case input(PlaneInput)
    /// A join that comes with a transport from a room of another worker.
    case arrive(PendingJoin)
    /// Somebody of this room is in another one now, on the same handle.
    case depart(GroupID, UserID, EndpointID)
    /// A home's word to a branch on this worker.
    case branch(GroupID, BranchCommand)
    /// A branch's word to its home on this worker.
    case report(GroupID, UserID, generation: UInt64, BranchReport)
    /// What a participant asks of the floor, on its way over the worker that reads its media, which sends it on to the room's home.
    case detour(DoorRequest, token: UInt64, any Door, home: Int)
    /// The same, at its home: the media that was sent before it is in the ring, or was taken from it.
    case behindMedia(DoorRequest, token: UInt64, any Door)
    /// Somebody's address is another's now.
    case released(SocketAddress, GroupID, UserID)
    /// How handshakes of peers here ended.
    case handshakes([HandshakeEnding])
    /// What a handshake sends to a peer on TCP.
    case datagram([UInt8], to: SocketAddress)
    /// Tell your rooms.
    case list(RoomCollector)
    /// End what is open and stop.
    case stop

    /// Whether who says it may have sent the last packets of a talk just before.
    var endsTalk: Bool {
        switch self {
        case .input(.door(let request, token: _, _)), .detour(let request, token: _, _, home: _), .behindMedia(let request, token: _, _):
            switch request {
            case .floor(_, _, _, .release), .leave: true
            default: false
            }
        case .report(_, _, generation: _, .floor(.release)): true
        default: false
        }
    }
}

/// What is known of who owns which room.
public struct Ownership: Sendable {
    /// A partition's state on this node.
    public enum State: Sendable {
        case elsewhere
        case restoring
        case here
    }
    /// By partition.
    public var states: [State]
    /// The partition of a group.
    public var partition: @Sendable (GroupID) -> Int
    /// States of all partitions of the request topic.
    public init(states: [State], partition: @escaping @Sendable (GroupID) -> Int) { (self.states, self.partition) = (states, partition) }

    func state(of gid: GroupID) -> State {
        let index = partition(gid)
        return states.indices.contains(index) ? states[index] : .elsewhere
    }
}

/// What Redis says of somebody in a group; nil where it did not answer in time.
public struct RoleAnswer: Sendable {
    /// The role, where it is known.
    public var role: Role?
    /// Whether they are a member, where that was asked.
    public var isMember: Bool?
    /// An answer.
    public init(role: Role?, isMember: Bool?) { (self.role, self.isMember) = (role, isMember) }
}

/// A join that waits for its role.
struct PendingJoin: Sendable {
    var gid: GroupID
    var joining: Joining
    var media: MediaDescription
    /// The room that is left, and the transport that comes along.
    var from: (gid: GroupID, place: RoomHost.Place)?
    var door: any Door
    var token: UInt64
}

/// Gathers the rooms of all workers for one question.
final class RoomCollector: Sendable {
    private let door: any Door
    private let token: UInt64
    private let state: Mutex<(missing: Int, rooms: [(identity: RoomIdentity, participants: Int)])>

    init(workers: Int, door: any Door, token: UInt64) {
        (self.door, self.token) = (door, token)
        state = Mutex((workers, []))
    }

    /// One worker's rooms; the last one's complete the answer.
    func add(_ rooms: [(identity: RoomIdentity, participants: Int)]) {
        let all = state.withLock { state -> [(identity: RoomIdentity, participants: Int)]? in
            state.rooms += rooms
            state.missing -= 1
            return state.missing == 0 ? state.rooms : nil
        }
        if let all { door.deliver(.answer(token: token, .success(.rooms(all.sorted { $0.identity.gid < $1.identity.gid })))) }
    }
}
