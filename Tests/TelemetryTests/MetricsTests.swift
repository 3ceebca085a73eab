import Testing

@testable import Telemetry

@Suite struct MetricsTests {
    @Test func expositionIsWhatPrometheusReads() {
        let metrics = Metrics()
        metrics.counter("ptt_packets_total", help: "Packets.", labels: ["door": "ja\"nus"]).increment(by: 3)
        metrics.counter("ptt_packets_total", help: "Packets.", labels: ["door": "ja\"nus"]).increment()
        metrics.gauge("ptt_rooms", help: "Rooms.").add(2.5)
        metrics.gauge("ptt_asked", help: "Asked.") { 7 }
        let histogram = metrics.histogram("ptt_wait_seconds", help: "Wait.", bounds: [0.1, 1])
        histogram.observe(0.05)
        histogram.observe(.milliseconds(500))
        histogram.observe(30)
        let expected = """
            # HELP ptt_asked Asked.
            # TYPE ptt_asked gauge
            ptt_asked 7
            # HELP ptt_packets_total Packets.
            # TYPE ptt_packets_total counter
            ptt_packets_total{door="ja\\"nus"} 4
            # HELP ptt_rooms Rooms.
            # TYPE ptt_rooms gauge
            ptt_rooms 2.5
            # HELP ptt_wait_seconds Wait.
            # TYPE ptt_wait_seconds histogram
            ptt_wait_seconds_bucket{le="0.1"} 1
            ptt_wait_seconds_bucket{le="1"} 2
            ptt_wait_seconds_bucket{le="+Inf"} 3
            ptt_wait_seconds_sum 30.55
            ptt_wait_seconds_count 3

            """
        #expect(metrics.exposition() == expected)
    }

    @Test func countsFromManyThreadsAddUp() async {
        let metrics = Metrics()
        let counter = metrics.counter("n_total", help: "n")
        let gauge = metrics.gauge("g", help: "g")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.increment()
                        gauge.add(1)
                    }
                }
            }
        }
        #expect(counter.value == 8000)
        #expect(gauge.value == 8000)
    }
}
