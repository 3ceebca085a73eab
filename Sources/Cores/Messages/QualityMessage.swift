import JSON
import Talk

/// A participant's link quality (`msg_type` 3, MESSAGES.md §1). Percentages are 0…100, as Janus computes them from RTCP.
public struct QualityMessage: Sendable, Equatable {
    /// Whose link.
    public var uid: UserID
    /// The group.
    public var gid: GroupID
    /// Talks, or listens.
    public var isTalker: Bool
    /// From the participant to us: packets that arrived, %.
    public var inLink: Int
    /// The same for media.
    public var inMediaLink: Int
    /// From us to the participant, %.
    public var outLink: Int
    /// The same for media.
    public var outMediaLink: Int
    /// Round trip, ms.
    public var rttMs: Int
    /// Interarrival jitter of what came (talker) or as the listener reports it, ms.
    public var jitterMs: Int
    /// Packets lost so far in that direction.
    public var lost: Int64
    /// Packets received so far in that direction.
    public var received: Int64
    /// When it was measured, Unix ms.
    public var atMs: Int64

    /// A measurement.
    public init(
        uid: UserID, gid: GroupID, isTalker: Bool, inLink: Int, inMediaLink: Int, outLink: Int, outMediaLink: Int, rttMs: Int,
        jitterMs: Int, lost: Int64, received: Int64, atMs: Int64
    ) {
        (self.uid, self.gid, self.isTalker, self.atMs) = (uid, gid, isTalker, atMs)
        (self.inLink, self.inMediaLink, self.outLink, self.outMediaLink) = (inLink, inMediaLink, outLink, outMediaLink)
        (self.rttMs, self.jitterMs, self.lost, self.received) = (rttMs, jitterMs, lost, received)
    }

    /// The body, `quality_msg`.
    public var body: JSONValue {
        [
            "user_id": .id(uid), "grp_id": .id(gid), "user_status": isTalker ? 1 : 2, "in_link_quality": .int(Int64(inLink)),
            "in_media_link_quality": .int(Int64(inMediaLink)), "out_link_quality": .int(Int64(outLink)),
            "out_media_link_quality": .int(Int64(outMediaLink)), "rtt": .int(Int64(rttMs)), "jitter_ms": .int(Int64(jitterMs)),
            "lost": .int(lost), "received": .int(received), "at_ms": .int(atMs),
        ]
    }

    /// The record's value.
    public func encoded(ip: String) -> [UInt8] {
        JSONValue.object(["msg_type": 3, "ip": .string(ip), "quality_msg": body]).encoded()
    }

    /// Reads a quality message; nil for another type.
    /// - Throws: `Refusal` that names the field.
    public init?(_ message: JSONValue) throws(Refusal) {
        guard message["msg_type"]?.integer == 3 else { return nil }
        guard let object = message["quality_msg"]?.object else { throw Refusal(.missingElement, "missing element (quality_msg)") }
        let fields = Fields(object, at: "quality_msg")
        func percent(_ name: String) throws(Refusal) -> Int { Int(try fields.optionalInteger(name, in: 0...100) ?? 0) }
        let uid = try fields.user("user_id")
        let gid = try fields.group("grp_id")
        self.init(
            uid: uid, gid: gid, isTalker: try fields.integer("user_status", in: 1...2) == 1, inLink: try percent("in_link_quality"),
            inMediaLink: try percent("in_media_link_quality"), outLink: try percent("out_link_quality"),
            outMediaLink: try percent("out_media_link_quality"), rttMs: Int(try fields.optionalInteger("rtt", in: 0...maximumID) ?? 0),
            jitterMs: Int(try fields.optionalInteger("jitter_ms", in: 0...maximumID) ?? 0),
            lost: try fields.optionalInteger("lost", in: -maximumID...maximumID) ?? 0,
            received: try fields.optionalInteger("received", in: 0...maximumID) ?? 0,
            atMs: try fields.optionalInteger("at_ms", in: 0...maximumID) ?? 0)
    }
}
