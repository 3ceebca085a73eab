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
        /// Some transfer is to be given up.
        var hasCancelled = false
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
    /// - Throws: `HTTPClientError`, which names the address and the cause, with code `stopped` where the task is cancelled; a status such as
    ///   404 is an answer, no error.
    public func fetch(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let transfer = Transfer(request)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                transfer.expect(continuation)
                if !hand({ $0.transfers.append(transfer) }) { transfer.fail(.stopped, "the client was stopped") }
            }
        } onCancel: {
            transfer.isCancelled.store(true, ordering: .relaxed)
            _ = hand { $0.hasCancelled = true }
        }
    }

    /// Tells the client's thread something; false: it has ended, or is about to.
    private func hand(_ change: (inout Mailbox) -> Void) -> Bool {
        mailbox.withLock { mailbox in
            if mailbox.isStopping { return false }
            change(&mailbox)
            // Inside the lock: the handle is freed only after `isStopping` was seen.
            curl_multi_wakeup(multi)
            return true
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
            let (new, hasCancelled, isStopping) = mailbox.withLock { mailbox in
                defer { (mailbox.transfers, mailbox.hasCancelled) = ([], false) }
                return (mailbox.transfers, mailbox.hasCancelled, mailbox.isStopping)
            }
            for transfer in new { begin(transfer) }
            if hasCancelled { endCancelled() }
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
        guard !transfer.isCancelled.load(ordering: .relaxed) else { return transfer.fail(.stopped, "the request was cancelled") }
        guard let easy = transfer.prepare(), curl_multi_add_handle(multi, easy) == CURLM_OK else {
            transfer.fail(.connection, "libcurl has no memory")
            return
        }
        running[easy] = transfer
    }

    private func endCancelled() {
        for (easy, transfer) in running where transfer.isCancelled.load(ordering: .relaxed) {
            curl_multi_remove_handle(multi, easy)
            running[easy] = nil
            transfer.fail(.stopped, "the request was cancelled")
        }
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
