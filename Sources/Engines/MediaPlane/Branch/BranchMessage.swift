import Floor
import Room
import Talk

// What a room's home and its branches on other workers say to each other, as values in mailboxes. Media, and what must keep its order with
// media, goes through `BranchRing`.

/// A participant's transport as the home describes it to the worker where it is to be.
struct Hosting: Sendable {
    var uid: UserID
    /// Tells this stay from an earlier one.
    var generation: UInt64
    var terms: MediaTerms
    /// Hears both streams of a dual floor.
    var dual: Bool
    var suspended: Bool
    /// How it is told of the floor.
    var usesRTCP: Bool
}

/// What a home tells a branch.
enum BranchCommand: Sendable {
    /// There is such a room, at home on that worker; again where its streams or rules changed.
    case open(home: Int, main: UInt32, override: UInt32?, implicitRequest: Bool, isOpen: Bool)
    /// Somebody's transport is here.
    case host(Hosting)
    /// As `host`, with the transport that it has in another room on this worker, where that is still there.
    case adopt(Hosting, from: GroupID)
    /// Somebody's media is described anew: a first offer, or another.
    case describe(UserID, MediaTerms)
    /// Somebody is gone.
    case unhost(UserID, generation: UInt64)
    /// Stops or resumes what somebody hears.
    case suspend(UserID, Bool)
    /// Somebody is told of the floor by RTCP from now on.
    case signalsByRTCP(UserID)
    /// RTCP APP for one, or (nil) for all who are told that way but one.
    case control([UInt8], to: UserID?, except: UserID?)
    /// Counts of somebody's reception start anew.
    case resetReception(UserID)
    /// The room is gone.
    case close
}

/// What a branch tells its home about somebody.
enum BranchReport: Sendable {
    /// It asks something of the floor, by RTCP.
    case floor(FloorInput)
    /// It spoke of the floor by RTCP for the first time.
    case signalsByRTCP
    /// Voice that asked for the floor has ended.
    case silence
    /// Something about its WebRTC peer.
    case link(LinkNews)
    /// It sends without the floor.
    case stray
    /// It sends voice, in a room where that asks for the floor.
    case voice
}
