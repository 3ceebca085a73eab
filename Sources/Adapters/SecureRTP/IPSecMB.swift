/// intel-ipsec-mb: AES-GCM at its fastest one packet after the other, AES-CTR and HMAC-SHA1 for many packets at once.
/// Where it is not built in (other than amd64) nothing of it is available.
enum IPSecMB {}

#if canImport(CIPSecMB)
    import CIPSecMB

    extension IPSecMB {
        /// A manager that the whole process shares: as a table of functions only, whose expanded keys all managers understand.
        private struct Shared {
            /// unsafe is right: it is written before anybody has it, and GCM and key expansion only read the functions from it.
            nonisolated(unsafe) let manager: UnsafeMutableRawPointer
            let name: String
        }
        private static let shared: Shared? = {
            var (architecture, features): (Int32, UInt64) = (0, 0)
            guard let manager = talkburst_imb_new(&architecture, &features) else { return nil }
            let needed = talkburst_imb_needed_features()
            guard features & needed == needed, features & talkburst_imb_emulated_feature() == 0 else {
                talkburst_imb_free(manager)
                return nil
            }
            let names = ["none", "emulated", "SSE", "AVX", "AVX2", "AVX-512"]
            let kind = names.indices.contains(Int(architecture)) ? names[Int(architecture)] : "\(architecture)"
            return Shared(manager: manager, name: "intel-ipsec-mb \(String(cString: imb_get_version_str())) (\(kind))")
        }()

        /// Whether the CPU has what it needs.
        static var isAvailable: Bool { shared != nil }
        static var name: String { shared?.name ?? "intel-ipsec-mb (not on this CPU)" }
        static var functions: UnsafeMutableRawPointer? { shared?.manager }

        /// A manager of one's own, for jobs; nil where memory is out.
        static func makeManager() -> UnsafeMutableRawPointer? {
            var (architecture, features): (Int32, UInt64) = (0, 0)
            return isAvailable ? talkburst_imb_new(&architecture, &features) : nil
        }
        static func freeManager(_ manager: UnsafeMutableRawPointer) { talkburst_imb_free(manager) }

        /// The size of an expanded key; it must be aligned to 64 bytes.
        static func expandedBytes(_ suite: SRTPSuite) -> Int { suite.isAEAD ? talkburst_imb_gcm_key_size() : 176 }
        static var contextBytes: Int { talkburst_imb_gcm_context_size() }

        static func expand(_ suite: SRTPSuite, key: UnsafeRawPointer, to expanded: UnsafeMutableRawPointer) -> Bool {
            guard let functions else { return false }
            switch suite {
            case .aeadAES128GCM: talkburst_imb_gcm128_expand(functions, key, expanded)
            case .aeadAES256GCM: talkburst_imb_gcm256_expand(functions, key, expanded)
            case .aesCM128HMACSHA1: talkburst_imb_ctr128_expand(functions, key, expanded)
            }
            return true
        }

        @inline(__always)
        static func sealGCM128(
            _ functions: UnsafeMutableRawPointer, _ expanded: UnsafeRawPointer, _ context: UnsafeMutableRawPointer,
            _ input: UnsafeRawPointer,
            _ output: UnsafeMutableRawPointer, count: Int, iv: UnsafeRawPointer, aad: UnsafeRawPointer, aadCount: Int
        ) {
            talkburst_imb_gcm128_seal(functions, expanded, context, output, input, count, iv, aad, aadCount, output + count)
        }

        @inline(__always)
        static func sealGCM256(
            _ functions: UnsafeMutableRawPointer, _ expanded: UnsafeRawPointer, _ context: UnsafeMutableRawPointer,
            _ input: UnsafeRawPointer,
            _ output: UnsafeMutableRawPointer, count: Int, iv: UnsafeRawPointer, aad: UnsafeRawPointer, aadCount: Int
        ) {
            talkburst_imb_gcm256_seal(functions, expanded, context, output, input, count, iv, aad, aadCount, output + count)
        }

        /// Asks for a state's first cache line and the key behind it, before they are needed. Never faults.
        @inline(__always)
        static func prefetch(_ state: UnsafeRawPointer, behind offset: Int) { talkburst_imb_prefetch(state, offset) }

        static var jobBytes: Int { talkburst_imb_job_size() }
        static func prepareJob(_ jobs: UnsafeMutableRawPointer, _ index: Int, iv: UnsafeMutableRawPointer, tag: UnsafeMutableRawPointer) {
            talkburst_imb_job_prepare(jobs, index, iv, tag)
        }

        /// A job of AES-CTR from `input` to `output`, then HMAC-SHA1 over `signed`.
        @inline(__always)
        static func setJob(
            _ jobs: UnsafeMutableRawPointer, _ index: Int, _ expanded: UnsafeRawPointer, authentication: UnsafeRawPointer,
            _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, count: Int, signed: UnsafeRawPointer, signedCount: Int
        ) {
            talkburst_imb_job_set(
                jobs, index, expanded, authentication, authentication + 20, input, output, count, signed, signedCount)
        }

        static func run(_ manager: UnsafeMutableRawPointer, _ jobs: UnsafeMutableRawPointer, count: Int) {
            talkburst_imb_jobs_run(manager, jobs, UInt32(count))
        }
    }
#else
    extension IPSecMB {
        static var isAvailable: Bool { false }
        static var name: String { "intel-ipsec-mb (not built in)" }
        static var functions: UnsafeMutableRawPointer? { nil }
        static func makeManager() -> UnsafeMutableRawPointer? { nil }
        static func freeManager(_ manager: UnsafeMutableRawPointer) {}
        static func expandedBytes(_ suite: SRTPSuite) -> Int { 0 }
        static var contextBytes: Int { 0 }
        static func expand(_ suite: SRTPSuite, key: UnsafeRawPointer, to expanded: UnsafeMutableRawPointer) -> Bool { false }
        static func sealGCM128(
            _ functions: UnsafeMutableRawPointer, _ expanded: UnsafeRawPointer, _ context: UnsafeMutableRawPointer,
            _ input: UnsafeRawPointer,
            _ output: UnsafeMutableRawPointer, count: Int, iv: UnsafeRawPointer, aad: UnsafeRawPointer, aadCount: Int
        ) {}
        static func sealGCM256(
            _ functions: UnsafeMutableRawPointer, _ expanded: UnsafeRawPointer, _ context: UnsafeMutableRawPointer,
            _ input: UnsafeRawPointer,
            _ output: UnsafeMutableRawPointer, count: Int, iv: UnsafeRawPointer, aad: UnsafeRawPointer, aadCount: Int
        ) {}
        static func prefetch(_ state: UnsafeRawPointer, behind offset: Int) {}
        static var jobBytes: Int { 0 }
        static func prepareJob(_ jobs: UnsafeMutableRawPointer, _ index: Int, iv: UnsafeMutableRawPointer, tag: UnsafeMutableRawPointer) {}
        static func setJob(
            _ jobs: UnsafeMutableRawPointer, _ index: Int, _ expanded: UnsafeRawPointer, authentication: UnsafeRawPointer,
            _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, count: Int, signed: UnsafeRawPointer, signedCount: Int
        ) {}
        static func run(_ manager: UnsafeMutableRawPointer, _ jobs: UnsafeMutableRawPointer, count: Int) {}
    }
#endif
