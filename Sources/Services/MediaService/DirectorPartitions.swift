import Kafka
import MediaPlane
import Messages
import Reactor
import Talk
import Telemetry

// Partitions come and go, and their rooms with them (MESSAGES.md, "Who owns a room").
extension DirectorState {
    func assign(_ numbers: [Int32]) {
        var new: [Int32: Int] = [:]
        for number in numbers {
            generations += 1
            if partitions[number]?.isReady == true {
                // Back after a lost assignment: its rooms never closed. What was under way comes again, and changes nothing.
                partitions[number]?.generation = generations
                partitions[number]?.window = OffsetWindow()
            } else {
                partitions[number] = Partition(generation: generations)
                new[number] = generations
            }
        }
        guard !new.isEmpty else { return }
        tellReadiness()
        for (number, generation) in new { claim(number, generation) }
        let (mailbox, generations) = (self.mailbox, new)
        parts.readRooms(new.keys.sorted()) { number, journal in
            if let generation = generations[number] { mailbox.post(.journal(partition: number, generation: generation, journal)) }
        }
    }

    private func claim(_ number: Int32, _ generation: Int) {
        let claim = OwnerClaim(node: parts.node, claimedMs: Clocks.wallMs())
        let record = OutgoingRecord(topic: parts.topics.owners, key: Array(String(number).utf8), value: claim.encoded)
        let (mailbox, log) = (self.mailbox, parts.log)
        do {
            try parts.producers.gathering.send(record) { result in
                switch result {
                case .success(let receipt): mailbox.post(.claimed(partition: number, generation: generation, epoch: receipt.offset))
                case .failure(let error): log.error("claim not written", ["partition": .int(number), "error": .describing(error)])
                }
            }
        } catch {
            log.error("claim not written", ["partition": .int(number), "error": .describing(error)])
        }
    }

    /// Opens the rooms when both the claim and the journal are there, and takes what waited.
    func openIfComplete(_ number: Int32) {
        guard var partition = partitions[number], !partition.isReady, let epoch = partition.epoch, let journal = partition.journal
        else { return }
        for problem in journal.problems {
            parts.log.error("room not restored", ["partition": .int(number), "reason": .string(problem)])
        }
        for record in journal.rooms.values.sorted(by: { $0.gid < $1.gid }) {
            parts.plane.post(.restore(record, epoch: epoch))
            partition.rooms.insert(record.gid)
        }
        let backlog = partition.backlog
        partition.isReady = true
        partition.backlog = []
        partition.journal = nil
        partitions[number] = partition
        tellReadiness()
        if !partition.rooms.isEmpty {
            parts.log.info("rooms restored", ["partition": .int(number), "rooms": .int(partition.rooms.count), "epoch": .int(epoch)])
        }
        handle(.records(backlog))
    }

    func revoke(_ number: Int32, lost: Bool) {
        guard let partition = partitions[number] else { return }
        if lost, partition.isReady {
            // No coordinator can be reached: people go on talking, and only signals wait.
            parts.log.warning("partition lost, its rooms stay open", ["partition": .int(number)])
            return
        }
        close(number)
    }

    /// Somebody's claim: one higher than ours ends our ownership at once.
    func claimSeen(_ number: Int32, _ node: String, _ epoch: Int64) {
        guard node != parts.node, let own = partitions[number]?.epoch, epoch > own else { return }
        parts.log.warning("another node owns this partition now", ["partition": .int(number), "node": .string(node), "epoch": .int(epoch)])
        close(number)
    }

    private func close(_ number: Int32) {
        guard let partition = partitions.removeValue(forKey: number) else { return }
        parts.plane.post(.close(Array(partition.rooms)))
        tellReadiness()
    }

    /// Tells the worker which rooms are here, and people what is missing.
    func tellReadiness() {
        let count = parts.partitions
        var states = [Ownership.State](repeating: .elsewhere, count: count)
        for (number, partition) in partitions where Int(number) < count { states[Int(number)] = partition.isReady ? .here : .restoring }
        parts.plane.post(
            .ownership(Ownership(states: states) { Int(Murmur2.partition(gid: $0.value, count: count)) }))
        if partitions.isEmpty {
            parts.readiness.block("partitions", "no partition of \(parts.topics.signalRequests) is assigned to this node yet")
        } else if partitions.values.contains(where: { !$0.isReady }) {
            parts.readiness.block("partitions", "rooms are being restored from \(parts.topics.rooms)")
        } else {
            parts.readiness.clear("partitions")
        }
    }
}
