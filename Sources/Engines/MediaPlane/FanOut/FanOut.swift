import Glibc
import RTP

/// By what a worker's fan-outs send.
struct Outlet {
    let socket: UDPSocket
    let arena: SecureFanOut.Arena
    /// nil: there is no TCP.
    let streams: StreamPort?
}

/// Sends each packet of a stream to all of its listeners on this worker: plain ones, those with keys of their own, and those on TCP.
///
/// Used by its worker's thread only. What goes in the middle of a packet's way is taken away after it.
final class FanOut {
    /// A packet on its way to many.
    struct Packet {
        var place: StreamRewriter.Place
        var ssrc: UInt32
        /// 1…`payloadMaximum` bytes.
        var payload: UnsafeRawBufferPointer
        /// Who does not hear itself, where it is here.
        var talker: Listener?
        /// Only for those who hear both streams of a dual floor.
        var dualOnly: Bool

        /// The 12 bytes that differ between listeners in their payload type and numbering (RFC 3550 §5.1).
        func writeHeader(_ payloadType: UInt8, offset: UInt16, ssrc: UInt32, to bytes: UnsafeMutableRawPointer) {
            bytes.storeBytes(of: 0x80, as: UInt8.self)
            bytes.storeBytes(of: (place.marker ? 0x80 : 0) | payloadType, toByteOffset: 1, as: UInt8.self)
            bytes.storeBytes(of: (place.sequence &- offset).bigEndian, toByteOffset: 2, as: UInt16.self)
            bytes.storeBytes(of: place.timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
            bytes.storeBytes(of: ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
        }
    }

    /// The largest payload that is forwarded.
    static let payloadMaximum = 1_500

    private let plain: PlainFanOut
    /// Made with the first listener that has keys.
    private var secure: SecureFanOut?
    /// Made with the first listener on TCP.
    private var streams: StreamFanOut?
    private let outlet: Outlet
    private var isSending = false
    private var leaving: [Listener] = []
    private(set) var counts = SendCounts()

    init(_ outlet: Outlet) {
        self.outlet = outlet
        plain = PlainFanOut(family: outlet.socket.family)
    }

    var count: Int { plain.count + (secure?.count ?? 0) + (streams?.count ?? 0) }

    /// Starts sending to a listener, in the form that its offset and payload type ask for; or sends to another address from now on.
    func add(_ listener: Listener, to address: SocketAddress) {
        if let index = listener.index {
            var isElsewhere = false
            leaving.removeAll { $0 === listener }
            switch listener.carrier {
            case .plain where !address.isTCP: plain.setAddress(address, of: index)
            case .secure where !address.isTCP: secure?.setAddress(address, of: index)
            case .stream where address.isTCP && streams?.address(of: index) == address: break
            default: isElsewhere = true
            }
            guard isElsewhere else { return }
            // From UDP to TCP or back, or to another connection: it hears on where it was. This comes of a check, never in the middle of
            // a packet's way.
            take(listener, index)
        } else {
            listener.baseline = counts
        }
        guard let sender = listener.sender else {
            listener.carrier = .plain
            plain.add(listener, to: address)
            return
        }
        guard !address.isTCP else {
            guard let connection = outlet.streams?.connection(address), let port = outlet.streams else { return }
            let streams = self.streams ?? StreamFanOut(port, outlet.arena)
            self.streams = streams
            listener.carrier = .stream
            streams.add(listener, sender, on: connection)
            return
        }
        listener.carrier = .secure
        let secure = self.secure ?? SecureFanOut(family: outlet.socket.family, arena: outlet.arena)
        self.secure = secure
        secure.add(listener, sender, to: address)
    }

    /// Stops sending to a listener.
    func remove(_ listener: Listener) {
        guard let index = listener.index else { return }
        if isSending {
            leaving.append(listener)
        } else {
            take(listener, index)
        }
    }

    private func take(_ listener: Listener, _ index: Int) {
        switch listener.carrier {
        case .plain: plain.remove(index)
        case .secure: secure?.remove(index)
        case .stream: streams?.remove(index)
        }
    }

    /// A listener's offset changed after a burst of its own, or what it hears of a dual floor.
    func reform(_ listener: Listener) {
        switch listener.carrier {
        case .plain: plain.reform(listener)
        case .secure: secure?.reform(listener)
        // It is looked up for each packet.
        case .stream: break
        }
    }

    /// Another stream was heard in between: those who hear both under one SSRC go on behind it.
    func resettle() {
        secure?.resettle()
        streams?.resettle()
    }

    /// A packet went by that nobody here hears: late comers' counts start behind it.
    func pass(_ octets: Int) {
        counts.packets &+= 1
        counts.octets &+= UInt64(octets)
    }

    /// Sends a packet to everybody but its talker.
    /// - Parameter between: called between batches, while more is to be sent.
    func send(_ packet: Packet, between: () -> Void) {
        guard packet.payload.count <= FanOut.payloadMaximum, packet.payload.count > 0 else { return }
        pass(packet.payload.count)
        isSending = true
        let socket = outlet.socket.descriptor
        // Apart until the end: what is done in between may look at the counts.
        var counts = SendCounts()
        plain.send(packet, on: socket, counts: &counts, between: between)
        if let secure, secure.count > 0 {
            if plain.count > 0 { between() }
            secure.send(packet, on: socket, counts: &counts, between: between)
        }
        if let streams, streams.count > 0 {
            if plain.count + (secure?.count ?? 0) > 0 { between() }
            streams.send(packet, counts: &counts, between: between)
        }
        isSending = false
        self.counts.sent &+= counts.sent
        self.counts.refusedByKernel &+= counts.refusedByKernel
        guard !leaving.isEmpty else { return }
        let gone = leaving
        leaving = []
        for listener in gone { remove(listener) }
    }
}
