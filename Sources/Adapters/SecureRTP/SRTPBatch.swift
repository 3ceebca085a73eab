/// Makes protected copies of packets for many listeners. One per worker, for one thread at a time.
///
/// It neither allocates, locks nor counts references per packet or listener; only a listener's first packet of a new SSRC may allocate.
/// Suites and backends may be mixed: how a copy is made is the sender's.
public final class SRTPBatch {
    // What changes lies behind their pointers, and so is not looked at for overlapping accesses as a class's variables are.
    private let seals: SealQueue
    private let jobs: JobQueue

    /// An empty batch. With intel-ipsec-mb it has 250 kB.
    /// - Throws: `library` where memory is out.
    public init() throws(SRTPError) {
        let manager = IPSecMB.makeManager()
        guard manager != nil || !IPSecMB.isAvailable else { throw .library }
        seals = SealQueue(functions: IPSecMB.functions)
        jobs = JobQueue(manager: manager)
    }

    deinit {
        seals.deallocate()
        jobs.deallocate()
    }

    /// Asks the memory for what ``add`` will need of a sender some listeners later: of a thousand, each is in another place, and none is in the
    /// caches any more since the last packet.
    @inline(__always)
    public func prepare(_ sender: SRTPSender.Reference) { IPSecMB.prefetch(sender.state, behind: SRTPSender.keyOffset) }

    /// Queues, or makes at once, a listener's protected copy of a packet.
    ///
    /// The first sequence number of an SSRC should be below 2^15: were it lost just before a wrap, the peer would take up the wrong
    /// roll-over counter (RFC 3711, section 3.3.1). One that was refused may be put right by ``SRTPSender/lastSequence(ssrc:)``.
    /// - Parameters:
    ///   - sender: the listener's sender, which must live until ``flush()``.
    ///   - payload: the plain payload, which all listeners share; it must stay until ``flush()``.
    ///   - out: where the 12 bytes of the listener's RTP header (no CSRCs, no extension) are already written; with room for them, the
    ///     payload and ``SRTPSuite/tagBytes``. It is whole after ``flush()``.
    /// - Returns: false, with nothing queued, where the packet must not go out: its sequence number was used, or lies more than 63
    ///   behind the highest one of its SSRC (``SRTPError/sequence``), the sender had 256 SSRCs, or the key is used up.
    public func add(_ sender: SRTPSender.Reference, payload: UnsafeRawBufferPointer, out: UnsafeMutableRawPointer) -> Bool {
        let state = sender.state
        let ssrc = PacketShape.ssrc(out)
        guard let index = SenderState.advance(state, ssrc: ssrc, sequence: PacketShape.sequence(out)) else { return false }
        guard let input = payload.baseAddress, payload.count > 0, let key = state.pointee.key else {
            // The multi-buffer library does not take nothing.
            return SRTPSender.protect(state, out, header: PacketShape.rtpHeader, payload: out, count: 0, ssrc: ssrc, index: index)
        }
        switch state.pointee.form {
        case .gcm128, .gcm256: seals.add(state, key, payload, input, out, ssrc: ssrc, index: index)
        case .cm: jobs.add(state, key, payload, input, out, ssrc: ssrc, index: index)
        case .openSSL:
            return SRTPSender.protect(
                state, out, header: PacketShape.rtpHeader, payload: input, count: payload.count, ssrc: ssrc, index: index)
        }
        return true
    }

    /// Completes everything that was added: afterwards each copy is `12 + payload.count + suite.tagBytes` bytes long.
    public func flush() {
        seals.flush()
        jobs.flush()
    }
}
