/// Copies by AES_CM_128_HMAC_SHA1_80 that wait to be made together by intel-ipsec-mb, which hashes 16 at once where it has AVX-512.
struct JobQueue {
    /// Enough that the lanes are seldom filled up with nothing (64 cost 5 ns more a packet), few enough for the first caches.
    private static let capacity = 128
    private static let ivBytes = 16
    private static let tagStride = 16

    /// Nil where intel-ipsec-mb is not available; then no sender asks for it.
    private let manager: UnsafeMutableRawPointer?
    private let jobs: UnsafeMutableRawPointer
    private let ivs: UnsafeMutableRawPointer
    private let tags: UnsafeMutableRawPointer
    /// Where each job's tag goes.
    private let ends: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private let count: UnsafeMutablePointer<Int>

    /// Takes the manager over.
    init(manager: UnsafeMutableRawPointer?) {
        self.manager = manager
        jobs = .allocate(byteCount: Self.capacity * IPSecMB.jobBytes, alignment: 64)
        ivs = .allocate(byteCount: Self.capacity * Self.ivBytes, alignment: 64)
        tags = .allocate(byteCount: Self.capacity * Self.tagStride, alignment: 64)
        ends = .allocate(capacity: Self.capacity)
        count = .allocate(capacity: 1)
        count.initialize(to: 0)
        for place in 0..<Self.capacity {
            IPSecMB.prepareJob(jobs, place, iv: ivs + place * Self.ivBytes, tag: tags + place * Self.tagStride)
        }
    }

    func deallocate() {
        if let manager { IPSecMB.freeManager(manager) }
        for memory in [jobs, ivs, tags] { memory.deallocate() }
        ends.deallocate()
        count.deallocate()
    }

    @inline(__always)
    func add(
        _ state: UnsafeMutablePointer<SenderState>, _ key: UnsafeRawPointer, _ payload: UnsafeRawBufferPointer, _ input: UnsafeRawPointer,
        _ out: UnsafeMutableRawPointer, ssrc: UInt32, index: UInt64
    ) {
        guard let authentication = state.pointer(to: \.authentication) else { return }
        let place = count.pointee
        let length = PacketShape.rtpHeader + payload.count
        let end = out + length
        PacketIV.writeCM(state.pointee.saltHigh, state.pointee.saltLow, ssrc: ssrc, index: index, to: ivs + place * Self.ivBytes)
        // The roll-over counter is signed with the packet (RFC 3711, section 4.2); its place is where the tag will be.
        end.storeBytes(of: UInt32(truncatingIfNeeded: index >> 16).bigEndian, as: UInt32.self)
        ends[place] = end
        IPSecMB.setJob(
            jobs, place, key, authentication: authentication, input, out + PacketShape.rtpHeader, count: payload.count, signed: out,
            signedCount: length + 4)
        count.pointee = place + 1
        if place + 1 == Self.capacity { flush() }
    }

    func flush() {
        let queued = count.pointee
        guard queued > 0, let manager else { return }
        IPSecMB.run(manager, jobs, count: queued)
        for place in 0..<queued { ends[place].copyMemory(from: tags + place * Self.tagStride, byteCount: AuthenticationKey.tagBytes) }
        count.pointee = 0
    }
}
