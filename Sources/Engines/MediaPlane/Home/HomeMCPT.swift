import Floor
import RTP
import Room
import Talk

// The floor in the words of RTCP APP `MCPT` (FLOOR.md, "On the wire").
extension MediaWorker {
    /// What a radio is told of what happened on the floor; nil for what MCPT has no words for, which goes to its handle only.
    /// - Parameter uid: whom, where it is for one only.
    func mcpt(_ notice: Notice, to uid: UserID?, in room: RoomHost) -> MCPTMessage? {
        let ssrc = room.main.ssrc
        switch notice {
        case .granted(let durationMs, let priority, let tier, let which):
            let stream = room.stream(which)?.ssrc ?? ssrc
            // The field may not be missing; the longest that it can say is for ever.
            let seconds = durationMs.map { UInt16(clamping: ($0 + 999) / 1_000) } ?? .max
            let fields: [MCPTMessage.Field] = [
                .duration(seconds), .priority(priority), .userID((uid?.description ?? "")), .ssrc(stream),
                .indicator(indicator(tier, room)),
            ]
            return MCPTMessage(.granted, ssrc: ssrc, fields: fields)
        case .taken(let holder, _, let which, let tier, let sequence):
            let stream = room.stream(which)?.ssrc ?? ssrc
            let fields: [MCPTMessage.Field] = [
                .grantedParty(holder.description), .permission(1), .sequence(sequence), .ssrc(stream), .indicator(indicator(tier, room)),
            ]
            return MCPTMessage(.taken, ssrc: ssrc, fields: fields)
        case .idle(let sequence):
            return MCPTMessage(.idle, ssrc: ssrc, fields: [.sequence(sequence), .indicator(indicator(.normal, room))])
        case .denied(let cause, _):
            return MCPTMessage(.deny, ssrc: ssrc, fields: [.cause(cause.rawValue), .userID((uid?.description ?? ""))])
        case .queued(let position, let priority, let size):
            let info = MCPTMessage.Field.queueInfo(position: position.map { UInt8(clamping: min($0, 253)) } ?? 254, priority: priority)
            return MCPTMessage(.queuePositionInfo, ssrc: ssrc, fields: [info, .queueSize(UInt16(clamping: size))])
        case .revoked(let cause):
            return MCPTMessage(.revoke, ssrc: ssrc, fields: [.cause(cause.rawValue), .indicator(indicator(.normal, room))])
        case .stopped, .talking, .silent, .announcement, .joined, .left, .kicked, .destroyed, .muted, .roomMuted: return nil
        }
    }

    private func indicator(_ tier: Tier, _ room: RoomHost) -> MCPTMessage.Indicator {
        let settings = room.machine.floor.settings
        var bits: MCPTMessage.Indicator = settings.queueMax > 0 ? [.queueing] : []
        if settings.broadcaster != nil { bits.insert(.broadcast) }
        if settings.dualFloor { bits.insert(.dualFloor) }
        switch tier {
        case .normal: bits.insert(.normal)
        case .imminentPeril: bits.insert(.imminentPeril)
        case .emergency: bits.insert(.emergency)
        }
        return bits
    }
}
