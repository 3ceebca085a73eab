import CLinux

/// How soon a thread runs when it is woken on a machine where others compute.
public enum Pace: Sendable {
    /// As all do: it may wait until somebody's turn of some milliseconds is over.
    case usual
    /// At once, for a little at a time: packets and people wait for it. For few threads only: they are no sooner than each other.
    case prompt

    /// From now on the calling thread has it, and each thread that it starts.
    public func adopt() {
        switch self {
        case .usual: clinux_set_slice(0)
        case .prompt: clinux_set_slice(100_000)
        }
    }
}
