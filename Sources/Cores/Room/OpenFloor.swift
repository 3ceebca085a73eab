import Floor
import Talk

// An open room has no floor to wait for: everybody talks who is not muted. Who asks for the floor is unmuted and has it, beside all others
// who have it; who gives it back is muted.
extension RoomStateMachine {
    mutating func open(_ input: FloorInput) -> [RoomEffect] {
        switch input {
        case .request(let uid, _, let priority, _):
            guard let participant = participants[uid] else { return [] }
            guard !participant.barred, !participant.listenOnly else { return [.tell(uid, .denied(.receiveOnly, retryAfterMs: nil))] }
            let granted = Notice.granted(durationMs: nil, priority: priority, tier: .normal, stream: .main)
            return setMuted(false, uid) + [.tell(uid, granted)]
        case .release(let uid):
            guard participants[uid] != nil else { return [] }
            return setMuted(true, uid) + [.tell(uid, state(for: uid))]
        case .position(let uid): return [.tell(uid, .queued(position: nil, priority: 0, size: 0))]
        case .emergency(let uid): return [.tell(uid, .denied(.other, retryAfterMs: nil))]
        case .cancelEmergency(_, by: let canceller): return canceller.map { [.tell($0, .denied(.other, retryAfterMs: nil))] } ?? []
        default: return []
        }
    }

    private mutating func setMuted(_ muted: Bool, _ uid: UserID) -> [RoomEffect] {
        guard participants[uid]?.muted != muted else { return [] }
        participants[uid]?.muted = muted
        return [.tellAll(except: nil, .muted(uid, muted))]
    }

    /// Who may talk now and is about to be muted by an administrator is told so; a stock client hears it by `muted`, as the others do.
    func cutOff(_ uid: UserID) -> [RoomEffect] {
        guard maySpeak(uid), participants[uid]?.signalling != .stock else { return [] }
        return [.tell(uid, .revoked(.noPermission))]
    }

    /// Whether somebody is heard in an open room.
    public func maySpeak(_ uid: UserID) -> Bool {
        guard identity.mode == .open, let participant = participants[uid] else { return false }
        return participant.muted != true && !participant.barred && !participant.listenOnly
    }
}
