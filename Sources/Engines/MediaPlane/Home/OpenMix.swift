import Mixer
import Recorder
import Talk

/// What an open room's home keeps beside the room: the mixer, the numbering of the mix, and the talks that are being recorded. Used by its
/// worker's thread only.
final class OpenMix {
    /// A packet kept from before its talker was found to be heard, so that the recording has the beginning.
    struct Kept {
        var packet: MediaWorker.Arrival
        var payload: [UInt8]
    }
    let mixer = RoomMixer()
    /// The talks of those who are heard.
    var recordings: [UserID: (talk: TalkID, burst: BurstHandle)] = [:]
    private var recent: [UserID: [Kept]] = [:]
    /// Ticks since the room was opened: the mix's own clock.
    var ticks: UInt32 = 0
    /// Packets that were sent.
    var sent: UInt16 = 0
    var isSilent = true
    private static let kept = 12
    /// What is older was not said just before, ns.
    private static let keptNs: Int64 = 500_000_000

    /// Talks that are being recorded.
    var openTalks: [TalkID] { recordings.values.map(\.talk) }

    func keep(_ packet: MediaWorker.Arrival, _ payload: UnsafeRawBufferPointer, from uid: UserID) {
        recent[uid, default: []].append(Kept(packet: packet, payload: Array(payload)))
        if recent[uid]?.count ?? 0 > OpenMix.kept { recent[uid]?.removeFirst() }
    }

    func takeKept(from uid: UserID, at now: Int64) -> [Kept] {
        (recent.removeValue(forKey: uid) ?? []).filter { now - $0.packet.atNs < OpenMix.keptNs }
    }

    func forget(_ uid: UserID) { recent[uid] = nil }
}
