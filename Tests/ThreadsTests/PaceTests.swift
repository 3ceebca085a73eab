import Glibc
import Testing
import Threads

@Suite struct PaceTests {
    /// How the calling thread is scheduled (sched(7)).
    private struct Scheduling: Equatable {
        var policy: Int32
        var priority: Int32
        var nice: Int32

        static var own: Scheduling {
            var parameters = sched_param()
            let policy = sched_getscheduler(0)
            sched_getparam(0, &parameters)
            return Scheduling(
                policy: policy & ~SCHED_RESET_ON_FORK, priority: parameters.sched_priority,
                nice: getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0))
        }
    }
    private static let SCHED_RESET_ON_FORK: Int32 = 0x4000_0000

    private func scheduling(_ pace: Pace) async throws -> (own: Scheduling, started: Scheduling) {
        try await NamedThread.run("pace-test") {
            pace.adopt()
            let own = Scheduling.own
            let box = Box()
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { box in
                    if let box { Unmanaged<Box>.fromOpaque(box).takeUnretainedValue().found = Scheduling.own }
                    return nil
                }, Unmanaged.passUnretained(box).toOpaque())
            pthread_join(thread, nil)
            return (own, box.found ?? own)
        }
    }

    private final class Box {
        var found: Scheduling?
    }

    /// Where the system doesn't let it, it goes before others as well as it may.
    @Test func whatIsRealTimeStaysAlone() async throws {
        let usual = try await scheduling(.usual).own
        let (own, started) = try await scheduling(.realTime(2))
        if Pace.mayBeRealTime(2) {
            #expect(own == Scheduling(policy: SCHED_RR, priority: 2, nice: usual.nice))
            #expect(started == usual)
        } else {
            #expect(own == (try await scheduling(.prompt).own))
        }
    }

    @Test func whoComputesForLongGivesWay() async throws {
        let usual = try await scheduling(.usual).own
        let (own, started) = try await scheduling(.patient)
        #expect(own.policy == usual.policy)
        #expect(own.nice == min(19, usual.nice + 10))
        #expect(started == own)
    }

    /// A trial changes nothing for who asks.
    @Test func toAskIsNotToTake() {
        let before = Scheduling.own
        _ = Pace.mayBeRealTime(1)
        #expect(Scheduling.own == before)
    }
}
