import Talk

/// Where a group is between its creation and its end.
enum GroupStatus: String, Sendable, CaseIterable {
    /// The row is there, the media service has not answered.
    case pending
    /// In use.
    case active
    /// The caller was told that it failed; gone when the media service has answered the destroy.
    case rollingBack = "rolling_back"
    /// Being deleted; gone when the media service has answered the destroy.
    case deleting
}

/// What becomes of a group (MESSAGES.md §3). Pure: the caller does in one transaction what an action says.
///
/// | state | input | next | action |
/// |---|---|---|---|
/// | pending | created answered 0 | active | announce |
/// | pending | created refused since another room has this number (486) | gone | remove; a destroy would end that room |
/// | pending | created refused otherwise or unanswered, restart | rolling_back | outbox destroy |
/// | active | delete | deleting | outbox destroy, announce |
/// | deleting | delete | deleting | none |
/// | rolling_back, deleting | destroyed answered 0 or 485 | gone | remove |
/// | any | anything else | unchanged | none |
struct GroupStateMachine: Sendable, Equatable {
    enum Input: Sendable, Equatable {
        /// The create's answer; nil when there was none in time.
        case created(ResultCode?)
        /// Somebody wants it deleted.
        case delete
        /// The destroy's answer.
        case destroyed(ResultCode)
        /// The service starts, and nobody waits for what was under way.
        case restart
    }

    enum Action: Sendable, Equatable {
        /// Put the destroy into the outbox, in the transaction that writes the status.
        case sendDestroy
        /// Tell the feed.
        case announce
        /// Remove keys and row.
        case remove
    }

    private(set) var status: GroupStatus

    init(_ status: GroupStatus) { self.status = status }

    mutating func handle(_ input: Input) -> [Action] {
        switch (status, input) {
        case (.pending, .created(.some(.ok))):
            status = .active
            return [.announce]
        case (.pending, .created(.some(.roomExists))):
            return [.remove]
        case (.pending, .created), (.pending, .restart):
            status = .rollingBack
            return [.sendDestroy]
        case (.active, .delete):
            status = .deleting
            return [.sendDestroy, .announce]
        case (.rollingBack, .destroyed(let code)), (.deleting, .destroyed(let code)):
            return code == .ok || code == .noSuchRoom ? [.remove] : []
        default: return []
        }
    }
}
