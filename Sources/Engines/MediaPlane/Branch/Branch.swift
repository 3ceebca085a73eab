import Floor
import Room
import Talk

/// One stream of a room as a branch sends it. Used by its worker's thread only.
final class BranchStream {
    let ssrc: UInt32
    let fanOut: FanOut
    /// Who has the floor of it, as the home says.
    var talker: UserID?
    /// That one's transport, where it is on this worker.
    var talkerTransport: Transport?
    /// Of the last packet, for sender reports.
    var timestamp: UInt32 = 0
    /// What had been sent when the burst began: its talker was not sent what came since.
    var countsAtOpening = SendCounts()

    init(ssrc: UInt32, _ outlet: Outlet) {
        self.ssrc = ssrc
        fanOut = FanOut(outlet)
    }
}

/// A room's participants whose transports are on this worker: at its home, and wherever else it has some (ARCHITECTURE.md, "One home, many
/// branches"). It moves media and keeps the links' figures; it decides nothing. Used by its worker's thread only.
final class Branch {
    let gid: GroupID
    /// The worker that decides.
    let home: Int
    /// The room itself, where this worker is its home.
    unowned(unsafe) var room: RoomHost?
    let main: BranchStream
    /// There where the room allows a dual floor.
    var override: BranchStream?
    /// Both streams in one, made with the first who needs it.
    var blend: Blend?
    /// Voice without the floor asks for it.
    var implicitRequest = false
    /// There is no floor: all voice goes home, where it is mixed.
    var isOpen = false
    /// Who is heard in an open room: each hears a mix of their own.
    var solos: [UserID: FanOut] = [:]
    var transports: [UserID: Transport] = [:]
    /// Those who are told of the floor by RTCP.
    var radios: [UserID] = []
    /// Seconds since somebody began to talk, for reports.
    var activeSeconds = 0

    init(gid: GroupID, home: Int, main: BranchStream) { (self.gid, self.home, self.main) = (gid, home, main) }

    func stream(_ which: FloorStream) -> BranchStream? { which == .main ? main : override }

    /// Whether somebody talks.
    func isTalking(_ uid: UserID) -> Bool { stream(of: uid) != nil || solos[uid] != nil }

    /// On which stream somebody has the floor.
    func stream(of uid: UserID) -> FloorStream? {
        if main.talker == uid { return .main }
        return override?.talker == uid ? .override : nil
    }

    var isActive: Bool { main.talker != nil || override?.talker != nil || !solos.isEmpty }
}
