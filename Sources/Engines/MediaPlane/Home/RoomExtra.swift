import SecureRTP
import Talk

/// What a room does beside serving its participants: AudioBridge's forwarders and announcements.
public enum RoomExtra: Sendable {
    /// Sends the room's stream there too.
    case forward(Forwarder)
    /// Stops that.
    case stopForward(UInt32)
    /// All of them.
    case forwarders
    /// Plays a file; in a PTT room, after those that were asked for before.
    case play(Announcement)
    /// Stops it, or lets it wait no longer.
    case stopFile(String)
    /// Whether it plays, and does not wait.
    case isPlaying(String)
}

/// Somewhere a room's stream is sent to.
public struct Forwarder: Sendable {
    /// Given by the room.
    public var id: UInt32 = 0
    /// Where.
    public var address: SocketAddress
    /// Of the Opus there.
    public var payloadType: UInt8
    /// Nil: the room's.
    public var ssrc: UInt32?
    /// Nil: plain RTP.
    public var key: SRTPKey?
    /// A forwarder to an address.
    public init(address: SocketAddress, payloadType: UInt8, ssrc: UInt32?, key: SRTPKey?) {
        (self.address, self.payloadType, self.ssrc, self.key) = (address, payloadType, ssrc, key)
    }
}

/// A file that is played to a room.
public struct Announcement: Sendable {
    /// Its name.
    public var id: String
    /// Opus packets, each with its length in samples at 48 kHz.
    public var packets: [(payload: [UInt8], samples: Int)]
    /// Again from the start when it ends.
    public var loop: Bool
    /// An announcement.
    public init(id: String, packets: [(payload: [UInt8], samples: Int)], loop: Bool) {
        (self.id, self.packets, self.loop) = (id, packets, loop)
    }
}

/// An announcement that plays, or waits to. Used by its worker's thread only.
final class Playing {
    let announcement: Announcement
    var index = 0
    var sequence: UInt16 = 0
    var timestamp: UInt32 = 0
    /// When its next packet is due, ns.
    var nextAt: Int64 = 0
    let ssrc: UInt32

    init(_ announcement: Announcement, ssrc: UInt32) { (self.announcement, self.ssrc) = (announcement, ssrc) }
}
