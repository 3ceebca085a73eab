import Floor
import Talk
import Testing

@testable import Room

/// Open rooms answer who asks for the floor, and queue nobody.
@Suite struct OpenFloorTests {
    private static let granted = Notice.granted(durationMs: nil, priority: 0, tier: .normal, stream: .main)

    private func bench(_ users: Int64..., signalling: FloorSignalling = .json) throws -> RoomBench {
        var bench = try RoomBench(mode: .open)
        for uid in users {
            _ = try bench.join(uid) { joining in
                joining.signalling = signalling
                joining.muted = true
            }
        }
        return bench
    }

    private func request(_ uid: Int64) -> FloorInput { .request(user(uid), tier: .normal, priority: 0, queue: nil) }

    @Test func severalHaveTheFloorAtOnce() throws {
        var bench = try bench(1, 2)
        for uid in [1, 2] as [Int64] {
            #expect(!bench.room.maySpeak(user(uid)))
            #expect(bench.floor(request(uid)) == [.tellAll(except: nil, .muted(user(uid), false)), .tell(user(uid), Self.granted)])
        }
        #expect(bench.room.maySpeak(user(1)) && bench.room.maySpeak(user(2)))
        #expect(bench.floor(request(1)) == [.tell(user(1), Self.granted)], "who asks again is answered; nothing is new to the others")
    }

    @Test func whoGivesItBackIsMutedAndTheOthersTalkOn() throws {
        var bench = try bench(1, 2)
        for uid in [1, 2] as [Int64] { _ = bench.floor(request(uid)) }
        #expect(bench.floor(.release(user(1))) == [.tellAll(except: nil, .muted(user(1), true)), .tell(user(1), .idle(sequence: 0))])
        #expect(!bench.room.maySpeak(user(1)) && bench.room.maySpeak(user(2)))
        #expect(bench.floor(.release(user(1))) == [.tell(user(1), .idle(sequence: 0))])
    }

    @Test func thereIsNoQueue() throws {
        var bench = try bench(1)
        #expect(bench.floor(.position(user(1))) == [.tell(user(1), .queued(position: nil, priority: 0, size: 0))])
        #expect(bench.floor(.emergency(user(1))) == [.tell(user(1), .denied(.other, retryAfterMs: nil))])
    }

    @Test func whoMayOnlyListenIsDenied() throws {
        var bench = try bench(1)
        _ = try bench.join(2) { $0.listenOnly = true }
        #expect(bench.floor(request(2)) == [.tell(user(2), .denied(.receiveOnly, retryAfterMs: nil))])
        #expect(!bench.room.maySpeak(user(2)))
        #expect(bench.floor(request(9)).isEmpty && bench.floor(.release(user(9))).isEmpty, "who is not here")
    }

    @Test func anAdministratorTakesItAwayAndBars() throws {
        var bench = try bench(1, 2)
        _ = bench.floor(request(1))
        let effects = try bench.room.mute(true, nil, at: bench.at, random: &bench.random)
        let revoked = RoomEffect.tell(user(1), .revoked(.noPermission))
        let each = [user(1), user(2)].map { RoomEffect.tell($0, .muted($0, true)) }
        #expect(effects == [revoked, each[0], each[1], .tellAll(except: nil, .roomMuted(true))])
        #expect(bench.floor(request(1)) == [.tell(user(1), .denied(.receiveOnly, retryAfterMs: nil))])
        #expect(!bench.room.maySpeak(user(1)))
        _ = try bench.room.mute(false, nil, at: bench.at, random: &bench.random)
        #expect(bench.floor(request(2)).last == .tell(user(2), Self.granted))
    }

    @Test func aStockClientHearsByMutedAlone() throws {
        var bench = try bench(1, signalling: .stock)
        _ = bench.floor(request(1))
        let effects = try bench.room.mute(true, user(1), at: bench.at, random: &bench.random)
        #expect(!effects.contains(.tell(user(1), .revoked(.noPermission))))
        #expect(effects.contains(.tellAll(except: nil, .muted(user(1), true))))
    }
}
