import Talk

// Timers, and emergencies.
extension FloorStateMachine {
    /// When `tick` has something to do; nil: nothing is running.
    public var nextDeadline: MonotonicNs? {
        var earliest: MonotonicNs?
        func consider(_ time: MonotonicNs?) {
            if let time { earliest = min(earliest ?? time, time) }
        }
        for holder in [main, override] {
            guard let holder else { continue }
            consider(holder.heardAt + ns(settings.t1Ms))
            consider(holder.repeatAt)
            if let revoking = holder.revoking {
                consider(revoking.takenAwayAt)
                consider(revoking.repeatAt)
            } else if let first = holder.firstPacketAt {
                consider(first + ns(holder.t2Ms))
            }
        }
        consider(inactiveAt)
        consider(idleRepeatAt)
        return earliest
    }

    mutating func tick(_ now: MonotonicNs, _ actions: inout [FloorAction]) {
        tick(.override, now, &actions)
        tick(.main, now, &actions)
        if let time = inactiveAt, now >= time {
            inactiveAt = nil
            actions.append(.event(.inactive, nil))
        }
        if let time = idleRepeatAt, now >= time {
            idleRepeats += 1
            idleRepeatAt = idleRepeats < settings.t7Count ? now + ns(settings.t7Ms) : nil
            actions.append(.idle)
        }
    }

    private mutating func tick(_ stream: FloorStream, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        guard var holder = stream == .main ? main : override else { return }
        if now >= holder.heardAt + ns(settings.t1Ms) {
            end(stream, now, &actions)
            return
        }
        if let revoking = holder.revoking {
            if now >= revoking.takenAwayAt {
                end(stream, now, &actions)
                return
            }
            if now >= revoking.repeatAt {
                holder.revoking?.repeatAt = now + ns(settings.t8Ms)
                actions.append(.revoked(holder.uid, revoking.cause))
            }
        } else if let first = holder.firstPacketAt, now >= first + ns(holder.t2Ms) {
            let retryAt = now + ns(settings.retryAfterMs)
            members[holder.uid]?.retryAt = retryAt
            actions.append(.revoked(holder.uid, .tooLong))
            actions.append(.event(.revoked, holder.uid))
            if settings.t3Ms == 0 {
                end(stream, now, &actions)
                return
            }
            holder.revoking = Revoking(cause: .tooLong, takenAwayAt: now + ns(settings.t3Ms), repeatAt: now + ns(settings.t8Ms))
        }
        if let time = holder.repeatAt, now >= time {
            guard holder.repeats < settings.t20Count else {
                end(stream, now, &actions)
                return
            }
            holder.repeats += 1
            holder.repeatAt = now + ns(settings.t20Ms)
            actions.append(.granted(holder.uid, Grant(stream: stream, durationMs: left(holder, now), claim: holder.claim, isNew: false)))
        }
        if stream == .main { main = holder } else { override = holder }
    }

    mutating func startEmergency(_ uid: UserID, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        guard let member = members[uid] else { return }
        guard settings.emergencyRoles.contains(member.properties.role) else {
            actions.append(.denied(uid, .other, retryAfterMs: nil))
            return
        }
        guard emergencies.contains(uid) || emergencies.count < settings.emergenciesMax else {
            actions.append(.denied(uid, .noResources, retryAfterMs: nil))
            return
        }
        if emergencies.insert(uid).inserted {
            actions.append(.event(.emergency, uid))
            actions.append(.emergenciesChanged)
        }
        request(uid, tier: .emergency, priority: settings.priorityCap, queues: true, now, &actions)
    }

    mutating func cancelEmergency(_ target: UserID?, by canceller: UserID?, _ now: MonotonicNs, _ actions: inout [FloorAction]) {
        if let canceller {
            let role = members[canceller]?.properties.role ?? .member
            guard target == canceller || role >= .manager || canceller == settings.dispatcher else {
                actions.append(.denied(canceller, .other, retryAfterMs: nil))
                return
            }
        }
        let ended = target.map { emergencies.contains($0) ? [$0] : [] } ?? emergencies.sorted()
        for uid in ended {
            emergencies.remove(uid)
            // What was granted stays granted; only what it weighs against later claims falls back.
            if main?.uid == uid { main?.claim.tier = .normal }
            if override?.uid == uid { override?.claim.tier = .normal }
            if let index = queue.firstIndex(where: { $0.uid == uid }) { queue[index].claim.tier = .normal }
            actions.append(.event(.cancelled, uid))
        }
        if !ended.isEmpty {
            sortQueue(&actions)
            actions.append(.emergenciesChanged)
        }
        if let canceller { actions.append(.state(canceller)) }
    }
}
