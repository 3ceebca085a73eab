import DTLS
import Floor
import ICE
import JSON
import JanusProtocol
import MediaPlane
import Messages
import Reactor
import Room
import SDP
import SecureRTP
import Talk
import Web

// What clients ask of the AudioBridge.
extension JanusDoor {
    func message(_ handle: Int64, _ transaction: String, _ body: JSONValue, _ jsep: JanusEnvelope.JSEP?) {
        var offer: AudioOffer?
        if let jsep {
            do throws(SDPError) {
                guard jsep.isOffer else { throw SDPError(line: 0, "an answer came, but no offer was made") }
                offer = try AudioOffer(try SessionDescription(parsing: jsep.sdp))
            } catch {
                refuse(JanusError(465, "JSEP error: invalid SDP (\(error))"), handle, transaction)
                return
            }
        }
        let isSynchronous = AudioBridgeRequest.isSynchronous(body)
        if !isSynchronous { acknowledge(handle, transaction) }
        do throws(Refusal) {
            let request = try AudioBridgeRequest(body)
            if !isSynchronous, try waits(DoorState.Waiting(transaction: transaction, request: request, offer: offer), handle) { return }
            try perform(request, offer, handle, transaction)
        } catch {
            fail(error, handle, transaction, isSynchronous: isSynchronous)
        }
    }

    /// Keeps a request back while its handle is on the way into a room or out of it.
    private func waits(_ waiting: DoorState.Waiting, _ handle: Int64) throws(Refusal) -> Bool {
        let count = state.withLock { state -> Int? in
            guard let count = state.waiting[handle]?.count else { return nil }
            if count < DoorState.waitingMax { state.waiting[handle]?.append(waiting) }
            return count
        }
        if let count, count >= DoorState.waitingMax {
            throw Refusal(.unknown, "\(count) requests wait on this handle: wait for their answers")
        }
        return count != nil
    }

    /// A handle is where it was to go: what waited for that is done now, up to the next that moves it.
    func resume(_ handle: Int64) {
        var rest = state.withLock { $0.waiting.removeValue(forKey: handle) ?? [] }[...]
        while let next = rest.popFirst() {
            do throws(Refusal) {
                try perform(next.request, next.offer, handle, next.transaction)
            } catch {
                fail(error, handle, next.transaction, isSynchronous: false)
            }
            let isMoving = state.withLock { state in
                guard state.waiting[handle] != nil else { return false }
                state.waiting[handle] = Array(rest)
                return true
            }
            if isMoving { return }
        }
    }

    /// An error of the core.
    private func refuse(_ error: JanusError, _ handle: Int64, _ transaction: String) {
        let found = state.withLock { state in
            state.sessions.connection(of: handle).flatMap { state.connections[$0] }.map { ($0, state.sessions.session(of: handle)) }
        }
        guard let (connection, session) = found else { return }
        connection.send(text: JanusEnvelope.error(error, transaction: transaction, session: session).encoded())
    }

    private func acknowledge(_ handle: Int64, _ transaction: String) {
        let found = state.withLock { state -> (Int64, WebSocketConnection)? in
            guard let session = state.sessions.session(of: handle), let id = state.sessions.connection(of: handle),
                let connection = state.connections[id]
            else { return nil }
            return (session, connection)
        }
        guard let (session, connection) = found else { return }
        let ack: JSONValue = ["janus": "ack", "session_id": .int(session), "transaction": .string(transaction)]
        connection.send(text: ack.encoded())
    }

    private func perform(_ request: AudioBridgeRequest, _ offer: AudioOffer?, _ handle: Int64, _ transaction: String) throws(Refusal) {
        switch request {
        case .join(let join): try self.join(join, offer, handle, transaction)
        case .changeRoom(let join): try changeRoom(join, handle, transaction)
        case .configure(let muted, let display): try configure(muted, display, offer, handle, transaction)
        case .leave, .hangup:
            let seat = try joined(handle)
            send(.leave(seat.room, seat.uid, EndpointID(handle)), handle, transaction, .leave)
        case .floor(let action, let priority, let uid, let queue):
            try floor(action, priority, uid, queue, handle, transaction)
        case .exists(let room): send(.exists(room), handle, transaction, .synchronous(["audiobridge": "success", "room": .id(room)]))
        case .list: send(.list, handle, transaction, .synchronous(["audiobridge": "success"]))
        case .listParticipants(let room):
            send(.participants(room), handle, transaction, .synchronous(["audiobridge": "participants", "room": .id(room)]))
        case .resetDecoder:
            let seat = try joined(handle)
            send(.resetDecoder(seat.room, seat.uid, EndpointID(handle)), handle, transaction, .synchronous(["audiobridge": "success"]))
        case .notOffered(let name, let instead): throw Refusal(.invalidRequest, "Request '\(name)' is not offered: \(instead)")
        default: try administer(request, handle, transaction)
        }
    }

    private func joined(_ handle: Int64) throws(Refusal) -> Seat {
        guard let seat = seat(handle) else { throw Refusal(.notJoined, "Can't do that: not in a room") }
        return seat
    }

    func send(_ request: DoorRequest, _ handle: Int64, _ transaction: String, _ kind: DoorState.Kind) {
        let token = state.withLock { $0.expect(handle, transaction, kind) }
        plane.post(.door(request, token: token, self))
    }

    // MARK: Joining

    private func join(_ join: AudioBridgeRequest.Join, _ offer: AudioOffer?, _ handle: Int64, _ transaction: String) throws(Refusal) {
        guard seat(handle) == nil else { throw Refusal(.alreadyJoined, "Already in a room (use changeroom to join another one)") }
        var (seat, joining) = try seating(join, handle)
        (seat.isPeer, seat.mid) = (offer != nil, offer?.mid ?? "")
        var rtp = try offer.map { (offer) throws(Refusal) in try Self.media(offer) } ?? MediaDescription()
        // Media comes one way: where there is an offer, it says all about it.
        if let given = join.rtp, offer == nil {
            if let ip = given.ip, let port = given.port {
                guard let address = SocketAddress(ip: ip, port: port) else {
                    throw Refusal(.invalidElement, "Invalid element (rtp.ip should be an IP address)")
                }
                rtp.address = address
            }
            rtp.payloadType = given.payloadType
            rtp.levelExtension = given.levelExtension
            rtp.usesFEC = given.fec
            if let srtp = given.srtp { rtp.srtp = try Self.keys(srtp) }
        }
        send(.join(join.room, joining, rtp), handle, transaction, .join(seat, offer))
    }

    /// What a transport needs of an offer.
    static func media(_ offer: AudioOffer) throws(Refusal) -> MediaDescription {
        guard let fingerprint = DTLSFingerprint(hash: offer.fingerprintHash, value: offer.fingerprint) else {
            throw Refusal(
                .invalidElement, "Invalid element (jsep: a=fingerprint should be sha-256 or the like and its bytes in hexadecimal)")
        }
        var media = MediaDescription()
        media.payloadType = offer.payloadType
        media.levelExtension = offer.levelExtension ?? 0
        media.usesFEC = true
        media.webRTC = WebRTCOffer(
            credentials: ICECredentials(ufrag: offer.ufrag, password: offer.password), fingerprint: fingerprint,
            // RFC 5763 §5: a peer that leaves it to us begins itself, as it knows first when there is a path.
            role: offer.setup == .passive ? .client : .server, leavesRole: offer.setup == .actpass)
        return media
    }

    /// The device's key, and a new one for our side.
    static func keys(_ given: AudioBridgeRequest.SRTP) throws(Refusal) -> SRTPKeys {
        guard let suite = SRTPSuite(sdesName: given.suite) else {
            let names = SRTPSuite.allCases.map(\.sdesName).joined(separator: ", ")
            throw Refusal(.invalidElement, "Invalid element (rtp.srtp.suite should be one of \(names))")
        }
        do throws(SRTPKeyError) {
            return SRTPKeys(remote: try SRTPKey(suite, sdes: given.crypto), local: try SRTPKey.random(suite))
        } catch {
            throw Refusal(.invalidElement, "Invalid element (rtp.srtp.crypto: \(error))")
        }
    }

    private func changeRoom(_ join: AudioBridgeRequest.Join, _ handle: Int64, _ transaction: String) throws(Refusal) {
        let old = try joined(handle)
        if old.room == join.room { throw Refusal(.alreadyJoined, "Already in this room") }
        var wanted = join
        // A transport belongs to its user: it changes rooms, not hands.
        wanted.id = old.uid
        wanted.display = join.display ?? old.display
        wanted.floor = join.floor || old.speaksFloor
        var (seat, joining) = try seating(wanted, handle)
        (seat.usesRTCP, seat.isPeer, seat.mid, seat.answers) = (old.usesRTCP, old.isPeer, old.mid, old.answers)
        if old.usesRTCP { joining.signalling = .rtcp }
        send(.changeRoom(from: old.room, to: join.room, joining), handle, transaction, .changeRoom(seat))
    }

    private func seating(_ join: AudioBridgeRequest.Join, _ handle: Int64) throws(Refusal) -> (Seat, Joining) {
        guard let uid = join.id ?? (settings.randomIDs ? UserID(Int64.random(in: 1...maximumID)) : nil) else {
            throw Refusal(.missingElement, "Missing element (id)")
        }
        let usesRTCP = join.rtp?.floorByRTCP ?? false
        var joining = Joining(uid: uid, display: join.display ?? "", endpoint: EndpointID(handle))
        joining.queues = join.queue
        joining.listenOnly = join.listenOnly
        joining.dual = join.dual
        // Its `floor` events come by the door in any case.
        joining.signalling = usesRTCP ? .rtcp : join.floor ? .json : .stock
        joining.events = join.events.flatMap(EventInterest.init(rawValue:))
        joining.token = join.token
        joining.pin = join.pin
        joining.muted = join.muted
        let seat = Seat(room: join.room, uid: uid, display: joining.display, speaksFloor: join.floor, usesRTCP: usesRTCP)
        return (seat, joining)
    }

    // MARK: The floor

    private func configure(_ muted: Bool?, _ display: String?, _ offer: AudioOffer?, _ handle: Int64, _ transaction: String)
        throws(Refusal)
    {
        let seat = try joined(handle)
        let endpoint = EndpointID(handle)
        let media = try offer.map { (offer) throws(Refusal) in try Self.media(offer) }
        send(
            .configure(seat.room, seat.uid, endpoint, display: display, signalling: nil, offer: media), handle, transaction,
            .configure(offer))
        // The configure that brings a stock client's first offer says `muted: false` by itself: nobody pressed a button yet.
        guard let muted, offer == nil || seat.isPeer else { return }
        let input: FloorInput = muted ? .release(seat.uid) : .request(seat.uid, tier: .normal, priority: 0, queue: nil)
        plane.post(.door(.floor(seat.room, seat.uid, endpoint, input), token: 0, self))
    }

    private func floor(
        _ action: AudioBridgeRequest.FloorAction, _ priority: UInt8, _ target: UserID?, _ queue: Bool?, _ handle: Int64,
        _ transaction: String
    ) throws(Refusal) {
        let seat = try joined(handle)
        let endpoint = EndpointID(handle)
        if !seat.speaksFloor {
            state.withLock { $0.seats[handle]?.speaksFloor = true }
            if !seat.usesRTCP {
                plane.post(.door(.configure(seat.room, seat.uid, endpoint, display: nil, signalling: .json, offer: nil), token: 0, self))
            }
        }
        state.withLock { $0.seats[handle]?.asking = transaction }
        let input: FloorInput
        switch action {
        case .request: input = .request(seat.uid, tier: .normal, priority: priority, queue: queue)
        case .release: input = .release(seat.uid)
        case .position: input = .position(seat.uid)
        case .emergency: input = .emergency(seat.uid)
        case .cancelEmergency: input = .cancelEmergency(target ?? seat.uid, by: seat.uid)
        }
        send(.floor(seat.room, seat.uid, endpoint, input), handle, transaction, .floor)
    }
}
