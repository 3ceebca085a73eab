import RTP
import Support
import TestTraits
import Testing

@testable import MediaPlane

private let second: Int64 = 1_000_000_000

/// TCP connections that carry datagrams, over loopback and on a clock that is turned by hand.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct StreamPortTests {
    private final class Owner {}

    private func port(_ limits: StreamPort.Limits = .init(), onDrop: @escaping () -> Void = {}) throws -> StreamPort {
        let loopback = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        return try StreamPort(loopback, limits: limits, onDrop: onDrop)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func framesComeWholeHoweverTheStreamIsCut(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let port = try port()
        let client = try StreamClient(port)
        port.admit(client)
        port.prove(client.address, by: ObjectIdentifier(Owner()), at: 0)
        let sent = (0..<60).map { _ -> [UInt8] in
            (0..<Int.random(in: 1...(random.chance(10) ? 2_048 : 200), using: &random)).map { _ in
                UInt8.random(in: 0 ... .max, using: &random)
            }
        }
        // Empty frames keep a NAT open, and are nothing.
        var stream: [UInt8] = []
        for datagram in sent { stream += (random.chance(10) ? [0, 0] : []) + StreamClient.framed(datagram) }
        var came: [[UInt8]] = []
        while came.count < sent.count {
            let part = Array(stream.prefix(Int.random(in: 1...3_000, using: &random)))
            stream.removeFirst(part.count)
            if !part.isEmpty { client.write(part) }
            let before = came.count
            came += port.turn()
            if part.isEmpty, came.count == before { break }
        }
        #expect(came == sent, "seed \(seed)")
    }

    @Test func aStrangerMaySayNothingButSTUN() throws {
        let port = try port()
        let client = try StreamClient(port)
        port.admit(client)
        client.write(StreamClient.framed(StreamClient.check))
        #expect(port.turn() == [StreamClient.check] && port.count.strangers == 1)
        client.write(StreamClient.framed([0x80, 100, 0, 1]))
        #expect(port.turn().isEmpty && port.count.all == 0)
        #expect(port.takeClosed() == [client.address] && port.takeClosed().isEmpty)
        #expect(client.read().isEmpty, "it is closed")
    }

    @Test func aFrameThatIsTooLongEndsTheConnection() throws {
        let port = try port()
        let client = try StreamClient(port)
        port.admit(client)
        port.prove(client.address, by: ObjectIdentifier(Owner()), at: 0)
        client.write([0x08, 0x01])
        #expect(port.turn().isEmpty && port.count.all == 0 && client.read().isEmpty)
    }

    /// A flood from one place takes the places of its own; who came from elsewhere before it keeps theirs.
    @Test func aFloodFromOnePlacePutsNobodyElseOut() throws {
        var limits = StreamPort.Limits()
        limits.strangers = 4
        let port = try port(limits)
        let honest = try StreamClient(port, from: "127.0.0.9")
        port.admit(honest)
        var flood: [StreamClient] = []
        for time in 1...20 as ClosedRange<Int64> {
            let client = try StreamClient(port)
            port.admit(client, at: time)
            flood.append(client)
        }
        #expect(port.connection(honest.address) != nil && port.count.strangers == 4)
        withExtendedLifetime(flood) {}
    }

    @Test func strangersAreFewAndTheOldestGoes() throws {
        var limits = StreamPort.Limits()
        limits.strangers = 3
        let port = try port(limits)
        let peer = try StreamClient(port)
        port.admit(peer)
        port.prove(peer.address, by: ObjectIdentifier(Owner()), at: 0)
        let clients = try (1...5).map { index in
            let client = try StreamClient(port)
            port.admit(client, at: Int64(index))
            return client
        }
        #expect(port.count == (4, 3))
        #expect(port.takeClosed() == clients.prefix(2).map(\.address), "not the peer, though it is older")
    }

    @Test func whereAllArePeersTheNewcomerGoes() throws {
        var limits = StreamPort.Limits()
        limits.connections = 2
        let port = try port(limits)
        let owners = [Owner(), Owner()]
        let peers = try owners.map { owner in
            let peer = try StreamClient(port)
            port.admit(peer)
            port.prove(peer.address, by: ObjectIdentifier(owner), at: 0)
            return peer
        }
        let late = try StreamClient(port)
        _ = port.turn()
        #expect(port.count == (2, 0) && late.read().isEmpty)
        #expect(peers.allSatisfy { port.connection($0.address) != nil })
    }

    @Test func whoProvesNothingIsGoneAfterTenSeconds() throws {
        let port = try port()
        let (stranger, peer) = (try StreamClient(port), try StreamClient(port))
        port.admit(stranger)
        port.admit(peer)
        #expect(port.deadline == 10 * second)
        port.prove(peer.address, by: ObjectIdentifier(Owner()), at: 5 * second)
        port.tick(at: 10 * second - 1)
        #expect(port.count == (2, 1))
        port.tick(at: 10 * second)
        #expect(port.takeClosed() == [stranger.address] && port.deadline == 35 * second)
        port.prove(peer.address, by: ObjectIdentifier(Owner()), at: 30 * second)
        port.tick(at: 35 * second)
        #expect(port.count == (1, 0) && port.deadline == 60 * second)
        port.tick(at: 60 * second)
        #expect(port.count == (0, 0) && port.deadline == nil && stranger.read().isEmpty && peer.read().isEmpty)
    }

    @Test func aPeerKeepsFourConnectionsAndAllGoWithIt() throws {
        let port = try port()
        let (owner, other) = (Owner(), Owner())
        let clients = try (0..<6).map { index in
            let client = try StreamClient(port)
            port.admit(client)
            port.prove(client.address, by: ObjectIdentifier(index == 5 ? other : owner), at: Int64(index))
            return client
        }
        #expect(port.takeClosed() == [clients[0].address], "the one that was not checked for longest")
        port.close(of: ObjectIdentifier(owner))
        #expect(port.count == (1, 0) && port.connection(clients[5].address) != nil)
    }

    @Test func whoHangsUpIsForgotten() throws {
        let port = try port()
        let client = try StreamClient(port)
        port.admit(client)
        client.hangUp()
        #expect(port.turn().isEmpty && port.takeClosed() == [client.address] && port.count.all == 0)
        port.send([1, 2, 3], to: client.address)
    }

    /// A peer that does not read holds nobody up: the oldest frames go, the stream stays one that can be followed.
    @Test func aSlowPeerLosesTheOldest() throws {
        var dropped = 0
        let port = try port { dropped += 1 }
        let client = try StreamClient(port, receiveBuffer: 4_096)
        port.admit(client)
        let connection = try #require(port.connection(client.address))
        let count = 5_000
        for number in 0..<count {
            let datagram = [UInt8(number >> 8), UInt8(number & 255)] + [UInt8](repeating: 5, count: 98)
            StreamClient.framed(datagram).withUnsafeBytes { port.send($0, on: connection) }
        }
        #expect(dropped > count / 2 && connection.dropped == dropped)
        var (stream, numbers): ([UInt8], [Int]) = ([], [])
        while numbers.last != count - 1 {
            let part = client.read()
            guard !part.isEmpty else { break }
            stream += part
            while case .whole(let length) = StreamFrame(stream.span, maximum: 2_048) {
                try #require(length == 100)
                numbers.append(Int(stream[2]) << 8 | Int(stream[3]))
                stream.removeFirst(2 + length)
            }
            if connection.hasBacklog { _ = port.turn() }
        }
        #expect(numbers == numbers.sorted() && numbers.count == count - dropped && stream.isEmpty)
        #expect(Array(numbers.suffix(StreamConnection.backlogMaximum - 1)) == Array(count - StreamConnection.backlogMaximum + 1..<count))
        #expect(!connection.hasBacklog)
    }

    /// It has room again, and is gone: of what waits for it the first goes out, and the rest finds nobody.
    @Test func aSlowPeerThatHangsUpIsForgotten() throws {
        let port = try port()
        let client = try StreamClient(port, receiveBuffer: 4_096)
        port.admit(client)
        let connection = try #require(port.connection(client.address))
        let frame = StreamClient.framed([UInt8](repeating: 5, count: 100))
        for _ in 0..<2_000 where !connection.hasBacklog { frame.withUnsafeBytes { port.send($0, on: connection) } }
        for _ in 0..<10 { frame.withUnsafeBytes { port.send($0, on: connection) } }
        try #require(connection.hasBacklog)
        client.drain()
        client.hangUp()
        for _ in 0..<10 where port.count.all > 0 { _ = port.turn() }
        #expect(port.takeClosed() == [client.address] && !connection.hasBacklog)
    }

    @Test func anAddressOverTCPIsAnotherThanOverUDP() throws {
        let address = try #require(SocketAddress(ip: "192.0.2.1", port: 5))
        #expect(address != address.overTCP && address.overTCP == address.overTCP.overTCP)
        #expect(address.overTCP.description == "192.0.2.1:5/tcp" && !address.overTCP.withNumber(6).isTCP)
    }
}
