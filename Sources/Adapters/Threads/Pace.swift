import CLinux
import Glibc

/// How soon a thread runs when it is woken on a machine where others compute.
public enum Pace: Sendable {
    /// As all do: it may wait until somebody's turn of some milliseconds is over.
    case usual
    /// At once, whatever else computes, where the system allows it (CAP_SYS_NICE, or RLIMIT_RTPRIO), else as `prompt`: packets and people wait
    /// for it. Among such threads the higher number (1…99) goes first. Only for threads that stop by themselves again and again: Linux leaves
    /// the others a twentieth of each core. What such a thread starts is as usual.
    ///
    /// The other classes won't do: in them a kernel that looks only at its ticks (each 4 ms, commonly) who is due lets a thread that was woken
    /// wait for as long, behind anybody, each time it had more than its share lately.
    case realTime(Int32)
    /// Before others, and for a little at a time, where the system allows it (CAP_SYS_NICE, or RLIMIT_NICE).
    case prompt
    /// When nobody else wants the core, and a tenth of one otherwise: it computes for long, and nobody waits for it. A thread can't leave it.
    case patient

    /// From now on the calling thread has it, and, unless it is real-time, each thread that it starts.
    public func adopt() {
        switch self {
        case .realTime(let priority): if clinux_set_realtime(priority) != 0 { Pace.prompt.adopt() }
        case .usual: clinux_set_slice(0)
        case .prompt:
            giveWay(by: -10)
            clinux_set_slice(100_000)
        case .patient: giveWay(by: 10)
        }
    }

    /// Whether the system lets this process have real-time threads of this priority.
    public static func mayBeRealTime(_ priority: Int32) -> Bool { clinux_may_be_realtime(priority) }

    /// Gives way by this much more than the process does. Linux counts nice values by thread (sched(7)); without the right to go first the
    /// thread stays where it is.
    private func giveWay(by difference: Int32) {
        let own = __priority_which_t(PRIO_PROCESS.rawValue)
        setpriority(own, 0, max(-20, min(19, getpriority(own, 0) + difference)))
    }
}
