import CLinux
import Glibc

/// How soon a thread runs when it is woken on a machine where others compute.
public enum Pace: Sendable {
    /// As all do: it may wait until somebody's turn of some milliseconds is over.
    case usual
    /// At once, for a little at a time: packets and people wait for it. For few threads only: they are no sooner than each other.
    case prompt
    /// When nobody else wants the core, and a tenth of one otherwise: it computes for long, and nobody waits for it. A thread can't leave it.
    case patient

    /// From now on the calling thread has it, and each thread that it starts.
    public func adopt() {
        switch self {
        case .usual: clinux_set_slice(0)
        case .prompt: clinux_set_slice(100_000)
        // Linux counts nice values by thread (sched(7)).
        case .patient:
            let own = __priority_which_t(PRIO_PROCESS.rawValue)
            setpriority(own, 0, min(19, getpriority(own, 0) + 10))
        }
    }
}
