import CCurl
import Glibc
import Synchronization
import Telemetry

/// Asks other HTTP servers, over libcurl on a thread of its own; connections are kept and used again.
///
/// `@unchecked Sendable`: `multi` and `running` are used on the client's thread, `curl_multi_wakeup` may be called from any.
public final class HTTPClient: @unchecked Sendable {
    private struct Mailbox {
        var transfers: [Transfer] = []
        var isStopping = false
        var isEnded = false
        var ended: [CheckedContinuation<Void, Never>] = []
    }

    private let mailbox = Mutex(Mailbox())
    private let multi: UnsafeMutableRawPointer
    private var running: [UnsafeMutableRawPointer: Transfer] = [:]

    /// libcurl's own preparation, once for the process.
    private static let prepared = curl_global_init(Int(CURL_GLOBAL_SSL | CURL_GLOBAL_WIN32))

    /// Starts the thread.
    public init() throws(HTTPClientError) {
        _ = Self.prepared
        guard let multi = curl_multi_init() else { throw HTTPClientError(code: .connection, description: "libcurl has no memory") }
        self.multi = multi
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<HTTPClient>.fromOpaque(argument).takeRetainedValue().serve()
                return nil
            }, argument)
        pthread_detach(thread)
    }

    /// Asks and waits for the whole answer.
    /// - Throws: `HTTPClientError`, which names the address and the cause; a status such as 404 is an answer, no error.
    public func fetch(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        try await withCheckedThrowingContinuation { continuation in
            let transfer = Transfer(request, continuation)
            let refused = mailbox.withLock { mailbox in
                if mailbox.isStopping { return true }
                mailbox.transfers.append(transfer)
                // Inside the lock: the handle is freed only after `isStopping` was seen.
                curl_multi_wakeup(multi)
                return false
            }
            if refused { transfer.fail(.stopped, "the client was stopped") }
        }
    }

    /// Ends the thread; what is under way fails with code `stopped`.
    public func stop() async {
        await withCheckedContinuation { continuation in
            let over = mailbox.withLock { mailbox in
                if mailbox.isEnded { return true }
                mailbox.ended.append(continuation)
                if !mailbox.isStopping { curl_multi_wakeup(multi) }
                mailbox.isStopping = true
                return false
            }
            if over { continuation.resume() }
        }
    }

    private func serve() {
        while true {
            let (new, isStopping) = mailbox.withLock { mailbox in
                defer { mailbox.transfers = [] }
                return (mailbox.transfers, mailbox.isStopping)
            }
            for transfer in new { begin(transfer) }
            if isStopping { break }
            var active: Int32 = 0
            curl_multi_perform(multi, &active)
            finishDone()
            curl_multi_poll(multi, nil, 0, 1000, nil)
        }
        for (easy, transfer) in running {
            curl_multi_remove_handle(multi, easy)
            transfer.fail(.stopped, "the client was stopped")
        }
        running = [:]
        let continuations = mailbox.withLock { mailbox in
            mailbox.isEnded = true
            return mailbox.ended
        }
        curl_multi_cleanup(multi)
        for continuation in continuations { continuation.resume() }
    }

    private func begin(_ transfer: Transfer) {
        guard let easy = transfer.prepare(), curl_multi_add_handle(multi, easy) == CURLM_OK else {
            transfer.fail(.connection, "libcurl has no memory")
            return
        }
        running[easy] = transfer
    }

    private func finishDone() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let result = talkburst_curl_result(message)
            curl_multi_remove_handle(multi, easy)
            running.removeValue(forKey: easy)?.finish(result)
        }
    }
}
