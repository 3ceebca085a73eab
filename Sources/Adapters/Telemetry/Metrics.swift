import Synchronization

/// The metrics of one service, and their text for Prometheus.
///
/// Asking again for a name and labels gives the same metric. Names are `snake_case` with their unit (`_seconds`, `_bytes`, `_total`).
public final class Metrics: Sendable {
    /// A metric's labels, such as `["door": "janus"]`.
    public typealias Labels = KeyValuePairs<String, String>

    private enum Source {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case callback(@Sendable () -> Double)
    }

    private enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    private struct Family {
        let kind: Kind
        let help: String
        var sources: [String: Source] = [:]
    }

    private let families = Mutex<[String: Family]>([:])

    /// An empty registry.
    public init() {}

    /// The counter of this name and labels.
    public func counter(_ name: String, help: String, labels: Labels = [:]) -> Counter {
        let source = register(name, .counter, help, labels) { .counter(Counter()) }
        if case .counter(let counter) = source { return counter }
        return Counter()
    }

    /// The gauge of this name and labels.
    public func gauge(_ name: String, help: String, labels: Labels = [:]) -> Gauge {
        let source = register(name, .gauge, help, labels) { .gauge(Gauge()) }
        if case .gauge(let gauge) = source { return gauge }
        return Gauge()
    }

    /// A gauge whose value is asked for whenever the metrics are read; `read` must be quick and callable from any thread.
    public func gauge(_ name: String, help: String, labels: Labels = [:], read: @escaping @Sendable () -> Double) {
        _ = register(name, .gauge, help, labels) { .callback(read) }
    }

    /// A counter that somebody else keeps, read whenever the metrics are; `read` must be quick and callable from any thread.
    public func counter(_ name: String, help: String, labels: Labels = [:], read: @escaping @Sendable () -> Double) {
        _ = register(name, .counter, help, labels) { .callback(read) }
    }

    /// The histogram of this name and labels; the bounds are those of the first who asked.
    public func histogram(
        _ name: String, help: String, labels: Labels = [:], bounds: [Double] = Histogram.latencyBoundsS
    ) -> Histogram {
        let source = register(name, .histogram, help, labels) { .histogram(Histogram(bounds: bounds)) }
        if case .histogram(let histogram) = source { return histogram }
        return Histogram(bounds: bounds)
    }

    // A name that is there as another kind is a slip in the program: it gets a metric that nobody reads, not a trap.
    private func register(_ name: String, _ kind: Kind, _ help: String, _ labels: Labels, make: () -> Source) -> Source {
        let key = labels.map { "\($0.key)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",")
        return families.withLock { families in
            var family = families[name] ?? Family(kind: kind, help: help)
            if let there = family.sources[key] { return there }
            let source = make()
            guard family.kind == kind else { return source }
            family.sources[key] = source
            families[name] = family
            return source
        }
    }

    /// All metrics in Prometheus's text exposition format 0.0.4, sorted by name.
    public func exposition() -> String {
        // Callbacks run outside the lock: they may themselves touch metrics.
        let all = families.withLock { $0 }
        var out = ""
        for (name, family) in all.sorted(by: { $0.key < $1.key }) {
            out += "# HELP \(name) \(escaped(family.help, quotes: false))\n# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, source) in family.sources.sorted(by: { $0.key < $1.key }) {
                let suffix = labels.isEmpty ? "" : "{\(labels)}"
                switch source {
                case .counter(let counter): out += "\(name)\(suffix) \(counter.value)\n"
                case .gauge(let gauge): out += "\(name)\(suffix) \(number(gauge.value))\n"
                case .callback(let read): out += "\(name)\(suffix) \(number(read()))\n"
                case .histogram(let histogram): append(histogram, name: name, labels: labels, to: &out)
                }
            }
        }
        return out
    }

    private func append(_ histogram: Histogram, name: String, labels: String, to out: inout String) {
        let prefix = labels.isEmpty ? "" : labels + ","
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        let cumulative = histogram.cumulative
        for (bound, count) in zip(histogram.bounds, cumulative) {
            out += "\(name)_bucket{\(prefix)le=\"\(number(bound))\"} \(count)\n"
        }
        let count = cumulative.last ?? 0
        out += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(count)\n"
        out += "\(name)_sum\(suffix) \(number(histogram.summary.sum))\n\(name)_count\(suffix) \(count)\n"
    }

    private func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }

    private func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.append(character)
            }
        }
        return out
    }
}
