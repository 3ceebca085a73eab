import CLinux
import Glibc

/// How soon a thread runs when it is woken on a machine where others compute.
public enum Pace: Sendable {
    /// As all do: it may wait until somebody's turn of some milliseconds is over.
    case usual
    /// At once, for a little at a time, and before others where the system allows it (CAP_SYS_NICE, or RLIMIT_NICE): packets and people wait
    /// for it. For few threads only: they are no sooner than each other.
    case prompt
    /// When nobody else wants the core, and a tenth of one otherwise: it computes for long, and nobody waits for it. A thread can't leave it.
    case patient

    /// From now on the calling thread has it, and each thread that it starts.
    public func adopt() {
        switch self {
        case .usual: clinux_set_slice(0)
        case .prompt:
            giveWay(by: -10)
            clinux_set_slice(100_000)
        case .patient: giveWay(by: 10)
        }
    }

    /// Gives way by this much more than the process does. Linux counts nice values by thread (sched(7)); without the right to go first the
    /// thread stays where it is.
    private func giveWay(by difference: Int32) {
        let own = __priority_which_t(PRIO_PROCESS.rawValue)
        setpriority(own, 0, max(-20, min(19, getpriority(own, 0) + difference)))
    }
}
