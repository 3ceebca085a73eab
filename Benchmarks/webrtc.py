"""WebRTC joins: the media service's CPU for each beside a bare DTLS handshake, and its memory for each peer that is up (aiortc is the peer)."""
import asyncio, subprocess, time

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from kit import Janus, cpu, memory, program, row

ROOM, PEERS = 97_000, 40


async def up(janus, handle, uid):
    """Joins as a listener, and waits for the keys."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"type": "offer", "sdp": peer.localDescription.sdp}
    body = {"request": "join", "room": ROOM, "id": uid, "events": "none"}
    answer = janus.all([{"janus": "message", "handle_id": handle, "body": body, "jsep": offer}])[0]
    await peer.setRemoteDescription(RTCSessionDescription(answer["jsep"]["sdp"], answer["jsep"]["type"]))
    end = time.monotonic() + 10
    while peer.connectionState != "connected":
        assert time.monotonic() < end, f"peer {uid} is {peer.connectionState}"
        await asyncio.sleep(0.005)
    return peer


async def found(place, options):
    """Pairs of (CPU seconds a join, CPU seconds a bare handshake, octets a peer)."""
    janus, pairs, peers = Janus(place.janus), [], []
    for turn in range(options.pairs + 1):
        handles = janus.attach(PEERS)
        was, before, start = memory(place.pid), cpu(place.pid), time.monotonic()
        for index, handle in enumerate(handles):
            peers.append(await up(janus, handle, 1_000 + turn * PEERS + index))
        took, used = time.monotonic() - start, cpu(place.pid) - before
        # What is up goes on costing checks and reports: that is no part of a join. Half of it was there before, half comes on the way.
        before, start = cpu(place.pid), time.monotonic()
        await asyncio.sleep(4)
        idle = (cpu(place.pid) - before) / (time.monotonic() - start)
        grown = memory(place.pid) - was
        bare = float(subprocess.run([program("bare_dtls", "ssl", "crypto"), "200"], check=True, capture_output=True, text=True).stdout)
        # The first peers bring what all share.
        if turn:
            pairs.append((max(0, used - idle * took) / PEERS, bare, grown / PEERS))
    for one in peers:
        await one.close()
    janus.close()
    return pairs


def rows(place, options):
    place.create(ROOM)
    pairs = asyncio.run(found(place, options))
    ours, bare, grown = [[pair[i] for pair in pairs] for i in range(3)]
    yield row("WebRTC join, ms of the media service's CPU", [o * 1e3 for o in ours], [b * 1e3 for b in bare], [o / b for o, b in zip(ours, bare)], "≤ 1.5",
              "{:.3f}", least=True, beside="the server's end of a bare DTLS handshake")
    kib = [g / 1024 for g in grown]
    yield row(f"memory per WebRTC peer after its handshake, KiB ({PEERS} more each time)", kib, [40], kib, "≤ 40", least=True, beside="limit")
