import Testing

@testable import MediaService

@Suite struct NodeCardTests {
    @Test(
        arguments: [
            (0, 1_000, 2, 0.0), (1_000, 1_000, 2, 0.5), (2_000, 1_000, 2, 1.0), (9_000, 1_000, 2, 1.0), (-5, 1_000, 2, 0.0),
            (10, 0, 2, 0.0),
            (10, -1, 2, 0.0), (10, 10, 0, 0.0), (1, 3, 1, 0.333),
        ] as [(Int64, Int64, Int, Double)])
    func loadIsAShareOfAllProcessors(cpuNs: Int64, elapsedNs: Int64, processors: Int, load: Double) {
        #expect(NodeCard.share(of: cpuNs, in: elapsedNs, processors: processors) == load)
    }

    @Test func theCardHasAllThatIsToldOfANode() {
        var card = NodeCard(address: "10.0.0.1", region: "north", processors: 1, nowNs: 0)
        let json = card.json(rooms: 2, participants: 3, nowNs: 1_000_000_000)
        #expect(json.object?.keys.sorted() == ["address", "load", "participants", "region", "rooms"])
        #expect(json["region"]?.string == "north" && json["participants"]?.integer == 3)
    }
}
