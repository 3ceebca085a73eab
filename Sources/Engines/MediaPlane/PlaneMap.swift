import Room
import Synchronization
import Talk

/// What the workers of one process know together: where each room is at home, how full each worker is, who has which address, who is
/// online. Control only: nothing here is touched for a packet.
public final class PlaneMap: Sendable {
    /// Who has an address.
    struct Holder: Sendable, Equatable {
        var worker: Int
        var gid: GroupID
        var uid: UserID
    }
    private struct State: Sendable {
        var homes: [GroupID: Int] = [:]
        var rooms: [Int]
        var participants: [Int]
        var holders: [SocketAddress: Holder] = [:]
        /// How many rooms somebody is in.
        var presence: [UserID: Int] = [:]
        /// How far the events of rooms that were closed are numbered.
        var sequences: [GroupID: (epoch: Int64, last: Int64)] = [:]
        /// Stays without a socket, whose address may go to somebody else.
        var vanished: Set<Stay> = []
    }
    private struct Stay: Sendable, Hashable {
        var gid: GroupID
        var uid: UserID
    }

    /// How many workers there are.
    let workers: Int
    /// What the node's RTP timestamps are ahead of its clock: random, as RFC 3550 §5.1 asks.
    let clockOffset = UInt32.random(in: 0 ... .max)
    private let state: Mutex<State>

    init(workers: Int) {
        self.workers = workers
        state = Mutex(State(rooms: Array(repeating: 0, count: workers), participants: Array(repeating: 0, count: workers)))
    }

    // MARK: Rooms

    /// The worker that owns a room; nil: there is no such room on this node.
    func home(of gid: GroupID) -> Int? { state.withLock { $0.homes[gid] } }

    /// Chooses the least loaded worker for a room that is to be opened, and keeps to it. Asked again where it is opened: the room that was
    /// there when it was posted may be gone by then.
    func choose(for gid: GroupID) -> Int {
        state.withLock { state in
            if let home = state.homes[gid] { return home }
            let home =
                (0..<workers).min { (state.participants[$0], state.rooms[$0], $0) < (state.participants[$1], state.rooms[$1], $1) } ?? 0
            state.homes[gid] = home
            state.rooms[home] += 1
            return home
        }
    }

    /// A room is gone, or was never opened.
    func forget(_ gid: GroupID) {
        state.withLock { state in
            if let home = state.homes.removeValue(forKey: gid) { state.rooms[home] -= 1 }
        }
    }

    /// Remembers how far a room's events are numbered, for another room of that number in the same epoch.
    func keepSequence(_ last: Int64, of gid: GroupID, epoch: Int64) {
        state.withLock { state in
            guard last > 0 else { return }
            if state.sequences.count >= PlaneMap.sequencesMax, let any = state.sequences.keys.first { state.sequences[any] = nil }
            state.sequences[gid] = (epoch, last)
        }
    }

    /// Where the events of a new room go on; 0: nothing was told of one in this epoch.
    func takeSequence(of gid: GroupID, epoch: Int64) -> Int64 {
        state.withLock { state in
            guard let kept = state.sequences.removeValue(forKey: gid), kept.epoch == epoch else { return 0 }
            return kept.last
        }
    }

    private static let sequencesMax = 100_000

    /// How many rooms this node has.
    var roomCount: Int { state.withLock { $0.homes.count } }

    // MARK: Participants

    /// Where a participant's transport goes: the room's home while few are there, then the worker with the fewest of the room's people. It is
    /// counted there from now on, so that of many who come at once each finds the others.
    /// - Parameters:
    ///   - counts: the room's participants by worker.
    ///   - sharing: from how many at home on others take their part.
    func place(home: Int, counts: [Int], sharing: Int) -> Int {
        state.withLock { state in
            func load(_ worker: Int) -> (Int, Int, Int) { (counts[worker], state.participants[worker], worker == home ? 0 : 1) }
            let chosen = counts[home] < sharing ? home : (0..<workers).min { load($0) < load($1) } ?? home
            state.participants[chosen] += 1
            return chosen
        }
    }

    func count(onWorker worker: Int, by step: Int) { state.withLock { $0.participants[worker] += step } }

    /// Keeps count of whom this node has.
    /// - Returns: true for a first join, false for a last leave, nil where neither is the case; and how many people there are.
    func count(_ uid: UserID, by step: Int) -> (online: Bool?, people: Int) {
        state.withLock { state in
            let before = state.presence[uid] ?? 0
            let after = max(0, before + step)
            state.presence[uid] = after == 0 ? nil : after
            return (before == 0 && after > 0 ? true : before > 0 && after == 0 ? false : nil, state.presence.count)
        }
    }

    // MARK: Addresses

    func holder(of address: SocketAddress) -> Holder? { state.withLock { $0.holders[address] } }

    /// Somebody has an address now.
    /// - Returns: who had it before.
    func hold(_ address: SocketAddress, _ holder: Holder) -> Holder? {
        state.withLock { state in
            let before = state.holders.updateValue(holder, forKey: address)
            return before == holder ? nil : before
        }
    }

    /// Somebody's address is free, unless it is another's by now.
    func release(_ address: SocketAddress, of holder: Holder) {
        state.withLock { if $0.holders[address] == holder { $0.holders[address] = nil } }
    }

    /// Somebody's socket broke, or is back, or they left.
    func setVanished(_ vanished: Bool, _ uid: UserID, in gid: GroupID) {
        state.withLock { state in
            if vanished { state.vanished.insert(Stay(gid: gid, uid: uid)) } else { state.vanished.remove(Stay(gid: gid, uid: uid)) }
        }
    }

    func isVanished(_ uid: UserID, in gid: GroupID) -> Bool { state.withLock { $0.vanished.contains(Stay(gid: gid, uid: uid)) } }
}
