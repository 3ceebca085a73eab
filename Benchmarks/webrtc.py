"""WebRTC joins: the media service's CPU for each beside a bare DTLS handshake, and its memory for each peer that is up.

Many at once, as when a shift begins (webrtc_peers.c), beside as many handshakes whose clients are at work meanwhile, as those of a join are, and
beside as many in a row on a machine that does nothing else; and one after the other by aiortc, whose own work takes the caches each time, beside
one handshake after each."""
import asyncio, json, re, subprocess, time

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from kit import Janus, cpu, end, memory, program, row, start

ROOM, PEERS = 97_000, 40
GROUPS, GROUP = 20, 10

# What Chromium offers for audio.
OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
""".replace("\n", "\r\n")


def bare(*words):
    """Seconds a handshake; see bare_dtls.c."""
    program_of = [program("bare_dtls", "ssl", "crypto", "pthread"), *(str(word) for word in words)]
    return float(subprocess.run(program_of, check=True, capture_output=True, text=True).stdout)


def join(handle, room, uid, sdp):
    body = {"request": "join", "room": room, "id": uid, "events": "none"}
    return {"janus": "message", "handle_id": handle, "body": body, "jsep": {"type": "offer", "sdp": sdp}}


# MARK: Many at once

def storm(place, janus):
    """CPU seconds a join, from the first request until the last of all groups' peers has its keys; they leave then."""
    count = GROUPS * GROUP
    peers = start(program("webrtc_peers", "ssl", "crypto"), count, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    told = json.loads(peers.stdout.readline())
    handles = janus.attach(count)
    joins = [join(handle, ROOM + 1 + i % GROUPS, 1_000 + i, OFFER.format(ufrag=f"peer{i}", **told)) for i, handle in enumerate(handles)]
    before = cpu(place.pid)
    for answer in janus.all(joins):
        sdp = answer["jsep"]["sdp"]
        found = [re.search(pattern, sdp)[1] for pattern in (r"m=audio (\d+)", r"a=ice-ufrag:(\S+)", r"a=ice-pwd:(\S+)")]
        peers.stdin.write(" ".join(found) + "\n")
    peers.stdin.flush()
    assert peers.stdout.readline() == f"up {count}\n"
    used = cpu(place.pid) - before
    janus.all([{"janus": "detach", "handle_id": handle} for handle in handles])
    end(peers)
    return used / count


# MARK: One after the other

async def up(janus, handle, uid):
    """Joins as a listener, and waits for the keys."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    answer = janus.all([join(handle, ROOM, uid, peer.localDescription.sdp)])[0]
    await peer.setRemoteDescription(RTCSessionDescription(answer["jsep"]["sdp"], answer["jsep"]["type"]))
    limit = time.monotonic() + 10
    while peer.connectionState != "connected":
        assert time.monotonic() < limit, f"peer {uid} is {peer.connectionState}"
        await asyncio.sleep(0.005)
    return peer


async def singly(place, janus, options):
    """Pairs of (CPU seconds a join, CPU seconds a bare handshake, octets a peer)."""
    pairs, peers = [], []
    beside = start(program("bare_dtls", "ssl", "crypto", "pthread"), "each", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for turn in range(options.pairs + 1):
        handles, reference = janus.attach(PEERS), 0
        was, before, begin = memory(place.pid), cpu(place.pid), time.monotonic()
        for index, handle in enumerate(handles):
            peers.append(await up(janus, handle, 1_000 + turn * PEERS + index))
            beside.stdin.write("\n")
            beside.stdin.flush()
            reference += float(beside.stdout.readline())
        took, used = time.monotonic() - begin, cpu(place.pid) - before
        # What is up goes on costing checks and reports: that is no part of a join. Half of it was there before, half comes on the way.
        before, begin = cpu(place.pid), time.monotonic()
        await asyncio.sleep(4)
        idle = (cpu(place.pid) - before) / (time.monotonic() - begin)
        grown = memory(place.pid) - was
        # The first peers bring what all share.
        if turn:
            pairs.append((max(0, used - idle * took) / PEERS, reference / PEERS, grown / PEERS))
    for one in peers:
        await one.close()
    end(beside)
    return pairs


def rows(place, options):
    place.create(ROOM, GROUPS + 1)
    janus = Janus(place.janus)
    # First, for memory that many have left would do for them.
    pairs = asyncio.run(singly(place, janus, options))
    # They take half a second each, and the first ones find nothing where they will have it: three times as many pairs as elsewhere.
    for _ in range(2):
        storm(place, janus)
    many = [(storm(place, janus), bare("beside", GROUPS * GROUP), bare(GROUPS * GROUP)) for _ in range(3 * options.pairs)]
    janus.close()

    def line(what, pairs, beside):
        ours, reference = [[pair[i] for pair in pairs] for i in range(2)]
        return row(what, [o * 1e3 for o in ours], [r * 1e3 for r in reference], [o / r for o, r in zip(ours, reference)], "≤ 1.5", "{:.3f}", least=True,
                   beside=beside)

    yield line(f"WebRTC join, {GROUPS * GROUP} at once in groups of {GROUP}, ms of the media service's CPU", [(ours, busy) for ours, busy, _ in many],
               "the server's end of a bare DTLS handshake, as many while their clients are at work")
    yield line("… the same joins", [(ours, alone) for ours, _, alone in many], "the same, as many in a row on an idle machine")
    yield line("… one after the other (aiortc)", pairs, "the same, one after each join")
    kib = [pair[2] / 1024 for pair in pairs]
    yield row(f"memory per WebRTC peer after its handshake, KiB ({PEERS} more each time)", kib, [40], kib, "≤ 40", least=True, beside="limit")
