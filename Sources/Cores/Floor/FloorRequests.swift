import Talk

// Requests, the queue, and who comes next.
extension FloorStateMachine {
    mutating func request(
        _ uid: UserID, tier: Tier, priority: UInt8, queues: Bool?, _ now: MonotonicNs, _ actions: inout [FloorAction]
    ) {
        guard let member = members[uid] else { return }
        let emergency = emergencies.contains(uid)
        let claim = Claim(
            tier: emergency ? .emergency : min(tier, .imminentPeril), role: member.properties.role,
            priority: min(priority, settings.priorityCap))
        if let stream = stream(of: uid) {
            repeatGrant(stream, claim, now, &actions)
            return
        }
        if !emergency, let cause = denial(uid, member, now) {
            let wait = cause == .retryAfter ? Int((member.retryAt - now + 999_999) / 1_000_000) : nil
            actions.append(.denied(uid, cause, retryAfterMs: wait))
            return
        }
        guard let main else {
            leaveQueue(uid, &actions)
            grant(uid, claim, .main, fromQueue: false, now, &actions)
            return
        }
        if claim > main.claim {
            if settings.dualFloor, claim.role == .owner, override == nil {
                leaveQueue(uid, &actions)
                grant(uid, claim, .override, fromQueue: false, now, &actions)
                return
            }
            enqueue(uid, claim)
            preempt(now, &actions)
            return
        }
        wait(uid, claim, queues ?? member.properties.queues, &actions)
    }

    /// Why this participant gets nothing whatever the state; nil where nothing speaks against it.
    private func denial(_ uid: UserID, _ member: Member, _ now: MonotonicNs) -> DenyCause? {
        if member.properties.listenOnly || member.barred { return .receiveOnly }
        if let broadcaster = settings.broadcaster, broadcaster != uid { return .receiveOnly }
        if now < member.retryAt { return .retryAfter }
        if settings.denyAlone, members.count < 2 { return .onlyOneParticipant }
        return nil
    }

    private mutating func repeatGrant(_ stream: FloorStream, _ claim: Claim, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        guard var holder = stream == .main ? main : override else { return }
        if let revoking = holder.revoking {
            // An emergency takes back what is being taken away, unless it is for one that weighs as much.
            let isFirst = stream == .override || queue.first.map { claim > $0.claim } ?? true
            guard claim.tier == .emergency, holder.claim.tier < .emergency, isFirst else {
                actions.append(.revoked(holder.uid, revoking.cause))
                return
            }
            holder.revoking = nil
        }
        if claim.tier > holder.claim.tier {
            holder.claim.tier = claim.tier
            if claim.tier == .emergency { holder.t2Ms = settings.t2EmergencyMs }
            if stream == .main { main = holder } else { override = holder }
            actions.append(.event(.taken, holder.uid))
        }
        actions.append(.granted(holder.uid, Grant(stream: stream, durationMs: left(holder, now), claim: holder.claim, isNew: false)))
    }

    private mutating func wait(_ uid: UserID, _ claim: Claim, _ queues: Bool, _ actions: inout [FloorAction]) {
        if let index = queue.firstIndex(where: { $0.uid == uid }) {
            queue[index].claim = max(claim, queue[index].claim)
            queue[index].told = nil
            sortQueue(&actions)
        } else if !queues {
            actions.append(.denied(uid, .anotherHasIt, retryAfterMs: nil))
        } else if queue.count >= settings.queueMax, claim.tier != .emergency {
            actions.append(.denied(uid, .queueFull, retryAfterMs: nil))
        } else {
            enqueue(uid, claim)
            sortQueue(&actions)
            actions.append(.event(.queue, uid))
        }
    }

    private mutating func enqueue(_ uid: UserID, _ claim: Claim) {
        if let index = queue.firstIndex(where: { $0.uid == uid }) {
            queue[index].claim = max(claim, queue[index].claim)
            // Who asks is told, the same place again too.
            queue[index].told = nil
        } else {
            arrivals += 1
            queue.append(Waiting(uid: uid, claim: claim, arrival: arrivals))
        }
        queue.sort { $0.claim != $1.claim ? $0.claim > $1.claim : $0.arrival < $1.arrival }
    }

    /// Sorts, and tells those whose place changed.
    mutating func sortQueue(_ actions: inout [FloorAction]) {
        queue.sort { $0.claim != $1.claim ? $0.claim > $1.claim : $0.arrival < $1.arrival }
        tellPositions(&actions)
    }

    private mutating func tellPositions(_ actions: inout [FloorAction]) {
        for index in queue.indices where queue[index].told != index + 1 {
            queue[index].told = index + 1
            actions.append(.queued(queue[index].uid, position: index + 1, priority: queue[index].claim.priority))
        }
    }

    mutating func leaveQueue(_ uid: UserID, _ actions: inout [FloorAction]) {
        guard let index = queue.firstIndex(where: { $0.uid == uid }) else { return }
        queue.remove(at: index)
        tellPositions(&actions)
        actions.append(.event(.queue, uid))
    }

    private mutating func preempt(_ now: MonotonicNs, _ actions: inout [FloorAction]) {
        guard let holder = main else { return }
        if holder.revoking?.cause == .preempted {
            tellPositions(&actions)
            actions.append(.event(.queue, queue.first?.uid))
            return
        }
        // Also who has talked too long and may finish: somebody more urgent does not wait for that.
        actions.append(.revoked(holder.uid, .preempted))
        actions.append(.event(.revoked, holder.uid))
        guard settings.preemptGraceMs > 0 else {
            end(.main, now, &actions)
            return
        }
        let takenAwayAt = min(now + ns(settings.preemptGraceMs), holder.revoking?.takenAwayAt ?? .max)
        let repeatAt = now + ns(settings.t8Ms)
        main?.revoking = Revoking(cause: .preempted, takenAwayAt: takenAwayAt, repeatAt: repeatAt)
        tellPositions(&actions)
        actions.append(.event(.queue, queue.first?.uid))
    }

    mutating func release(_ uid: UserID, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        if let stream = stream(of: uid) {
            end(stream, now, &actions)
        } else if queue.contains(where: { $0.uid == uid }) {
            leaveQueue(uid, &actions)
            actions.append(.state(uid))
        } else if members[uid] != nil {
            actions.append(.state(uid))
        }
    }

    /// Closes a stream; on the main one the next in the queue is granted, or all are told Idle.
    mutating func end(_ stream: FloorStream, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        guard let holder = stream == .main ? main : override else { return }
        members[holder.uid]?.lostAt = now
        if stream == .main { main = nil } else { override = nil }
        actions.append(.ended(holder.uid, stream))
        guard stream == .main else {
            if let main { actions.append(.taken(main.uid, .main)) } else { goIdle(now, &actions) }
            return
        }
        guard queue.isEmpty else {
            let next = queue.removeFirst()
            grant(next.uid, next.claim, .main, fromQueue: true, now, &actions)
            tellPositions(&actions)
            return
        }
        if let override { actions.append(.taken(override.uid, .override)) } else { goIdle(now, &actions) }
    }

    private mutating func goIdle(_ now: MonotonicNs, _ actions: inout [FloorAction]) {
        inactiveAt = now + ns(settings.t4Ms)
        idleRepeats = 0
        idleRepeatAt = settings.t7Ms > 0 ? now + ns(settings.t7Ms) : nil
        actions.append(.idle)
        actions.append(.event(.idle, nil))
    }

    private mutating func grant(
        _ uid: UserID, _ claim: Claim, _ stream: FloorStream, fromQueue: Bool, _ now: MonotonicNs, _ actions: inout [FloorAction]
    ) {
        let t2Ms = claim.tier == .emergency ? settings.t2EmergencyMs : settings.t2Ms
        var holder = Holder(uid: uid, claim: claim, t2Ms: t2Ms, heardAt: now)
        if fromQueue { holder.repeatAt = now + ns(settings.t20Ms) }
        if stream == .main { main = holder } else { override = holder }
        inactiveAt = nil
        idleRepeatAt = nil
        actions.append(.granted(uid, Grant(stream: stream, durationMs: t2Ms, claim: claim, isNew: true)))
        actions.append(.taken(uid, stream))
        actions.append(.event(.taken, uid))
    }

    /// What T2 leaves, ms.
    func left(_ holder: Holder, _ now: MonotonicNs) -> Int {
        guard let first = holder.firstPacketAt else { return holder.t2Ms }
        return max(0, holder.t2Ms - Int((now - first) / 1_000_000))
    }
}
