import CLinux
import Glibc

/// The two clocks, read in one place.
public enum Clocks {
    /// CLOCK_MONOTONIC, ns: for everything that is timed.
    public static func monotonicNs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// CLOCK_REALTIME, Unix ms: for what is told to people.
    public static func wallMs() -> Int64 { wallNs() / 1_000_000 }

    /// CLOCK_REALTIME as NTP's 32.32 fixed point (RFC 3550 §4).
    public static func ntp() -> UInt64 {
        let now = wallNs()
        let seconds = UInt64(now / 1_000_000_000) + 2_208_988_800
        return seconds << 32 | (UInt64(now % 1_000_000_000) << 32) / 1_000_000_000
    }

    private static func wallNs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
