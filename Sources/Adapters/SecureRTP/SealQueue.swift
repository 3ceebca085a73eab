import COpenSSL

/// Copies by AES-GCM for intel-ipsec-mb, which takes one after the other. Each is made when some more have been added.
///
/// They wait because a header that was written a moment ago is still on its way to the cache in small pieces, and the library reads it as
/// one: made at once, a copy of 100 bytes took 50 ns instead of 40.
struct SealQueue {
    /// A power of 2: enough to let headers settle; with more, what is added no longer overlaps with what is made.
    private static let capacity = 8
    private static let ivBytes = 16

    private struct Copy {
        var key: UnsafeRawPointer
        var input: UnsafeRawPointer
        var out: UnsafeMutableRawPointer
        var count: Int
        var isLong: Bool
    }

    /// Nil where intel-ipsec-mb is not available; then no sender asks for it.
    private let functions: UnsafeMutableRawPointer?
    private let context: UnsafeMutableRawPointer
    private let ivs: UnsafeMutableRawPointer
    private let copies: UnsafeMutablePointer<Copy>
    /// How many were added since the last flush; all but the last `capacity` of them are made.
    private let count: UnsafeMutablePointer<Int>

    init(functions: UnsafeMutableRawPointer?) {
        self.functions = functions
        context = .allocate(byteCount: IPSecMB.contextBytes, alignment: 64)
        ivs = .allocate(byteCount: Self.capacity * Self.ivBytes, alignment: 64)
        copies = .allocate(capacity: Self.capacity)
        count = .allocate(capacity: 1)
        count.initialize(to: 0)
    }

    func deallocate() {
        // The library's context holds keystream.
        OPENSSL_cleanse(context, IPSecMB.contextBytes)
        context.deallocate()
        ivs.deallocate()
        copies.deallocate()
        count.deallocate()
    }

    @inline(__always)
    func add(
        _ state: UnsafeMutablePointer<SenderState>, _ key: UnsafeRawPointer, _ payload: UnsafeRawBufferPointer, _ input: UnsafeRawPointer,
        _ out: UnsafeMutableRawPointer, ssrc: UInt32, index: UInt64
    ) {
        let number = count.pointee
        let place = number & (Self.capacity - 1)
        if number >= Self.capacity { seal(place) }
        PacketIV.writeGCM(state.pointee.saltHigh, state.pointee.saltLow, ssrc: ssrc, index: index, to: ivs + place &* Self.ivBytes)
        (copies + place).initialize(
            to: Copy(key: key, input: input, out: out, count: payload.count, isLong: state.pointee.form == .gcm256))
        count.pointee = number &+ 1
    }

    @inline(__always)
    private func seal(_ place: Int) {
        guard let functions else { return }
        let header = PacketShape.rtpHeader
        let (copy, iv) = (copies + place, ivs + place &* Self.ivBytes)
        let (out, length) = (copy.pointee.out, copy.pointee.count)
        if copy.pointee.isLong {
            IPSecMB.sealGCM256(
                functions, copy.pointee.key, context, copy.pointee.input, out + header, count: length, iv: iv, aad: out, aadCount: header)
        } else {
            IPSecMB.sealGCM128(
                functions, copy.pointee.key, context, copy.pointee.input, out + header, count: length, iv: iv, aad: out, aadCount: header)
        }
    }

    func flush() {
        let end = count.pointee
        for number in max(0, end - Self.capacity)..<end { seal(number & (Self.capacity - 1)) }
        count.pointee = 0
    }
}
