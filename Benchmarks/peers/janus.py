"""Debian's Janus as a contestant: AudioBridge with plain-RTP participants, or one whose mix is forwarded (rtp_forward), plain or by SRTP."""
import base64, os, socket, time

import kit

ROOM = 1234
JCFG = """general: {{ configs_folder = "{folder}" plugins_folder = "{libraries}/plugins" transports_folder = "{libraries}/transports"
  events_folder = "{folder}" loggers_folder = "{folder}" debug_level = 3 interface = "127.0.0.1" session_timeout = 600 }}
media: {{ rtp_port_range = "50000-50100" }}
nat: {{ ice_enforce_list = "lo" }}
"""
LIBRARIES = "/usr/lib/x86_64-linux-gnu/janus"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """One janus for all its contestants; a plugins folder with AudioBridge only, a transports folder with WebSockets only."""

    def __init__(self, folder):
        self.port = free_port()
        for kind, library in (("plugins", "libjanus_audiobridge.so"), ("transports", "libjanus_websockets.so")):
            (folder / kind).mkdir(parents=True)
            (folder / kind / library).symlink_to(f"{LIBRARIES}/{kind}/{library}")
        (folder / "janus.jcfg").write_text(JCFG.format(folder=folder, libraries=folder))
        (folder / "janus.transport.websockets.jcfg").write_text(
            f'general: {{ json = "compact" ws = true ws_port = {self.port} ws_ip = "127.0.0.1" }}\nadmin: {{ admin_ws = false }}\n')
        (folder / "janus.plugin.audiobridge.jcfg").write_text(
            'general: { rtp_port_range = "30000-49998" local_ip = "127.0.0.1" }\n'
            f'room-{ROOM}: {{ description = "Bench" sampling_rate = 16000 allow_rtp_participants = true audiolevel_ext = false }}\n')
        log = open(folder / "janus.log", "wb")
        self.child = kit.start("janus", "-C", folder / "janus.jcfg", "-F", folder, stdout=log, stderr=log)
        kit.wait_for(self.answers, 20, "janus")
        self.pid, self.url = self.child.pid, f"ws://127.0.0.1:{self.port}"

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        kit.end(self.child)


class Contestant:
    """`how`: participants, forward, or forward-srtp. All of it comes in and goes out with each turn: a bridge mixes whether somebody talks or not."""

    def __init__(self, server, count, how):
        self.server, self.count, self.how, self.pid = server, count, how, server.pid
        self.sockets = [kit.udp() for _ in range(count)]
        self.receivers = kit.Receivers(0, self.sockets)
        self.ports = [one.getsockname()[1] for one in self.sockets]

    def enter(self):
        self.janus, self.socket, self.streams = kit.Janus(self.server.url), kit.udp(), []
        try:
            self.come()
        except Exception:
            self.leave()
            raise

    def come(self):
        self.talker, = self.janus.attach()
        joined = self.janus.body(self.talker, request="join", room=ROOM, id=1, rtp=self.rtp(self.socket.getsockname()[1]))
        assert joined.get("audiobridge") == "joined", joined
        self.port = joined["rtp"]["port"]
        if self.how == "participants":
            handles = self.janus.attach(self.count)
            answers = self.janus.bodies([(handle, {
                "request": "join", "room": ROOM, "id": 10 + i, "muted": True, "rtp": self.rtp(port)})
                for i, (handle, port) in enumerate(zip(handles, self.ports))])
            wrong = [a for a in answers if a.get("audiobridge") != "joined"]
            # A participant is set up when a packet came from it.
            for one, answer in zip(self.sockets, answers):
                one.sendto(b"\x80\x64" + bytes(10) + b"\xf8\xff\xfe", ("127.0.0.1", answer.get("rtp", {}).get("port", 9)))
        else:
            secure = {"srtp_suite": 80, "srtp_crypto": ""} if self.how == "forward-srtp" else {}
            bodies = []
            for port in self.ports:
                if secure:
                    secure["srtp_crypto"] = base64.b64encode(os.urandom(30)).decode()
                bodies.append((self.talker, {"request": "rtp_forward", "room": ROOM, "host": "127.0.0.1", "port": port, "ptype": 100, **secure}))
            answers = self.janus.bodies(bodies)
            wrong = [a for a in answers if "stream_id" not in a]
            self.streams = [a.get("stream_id") for a in answers]
        assert not wrong, wrong[0]
        time.sleep(1)

    @staticmethod
    def rtp(port):
        return {"ip": "127.0.0.1", "port": port, "payload_type": 100}

    def leave(self):
        if self.streams:
            self.janus.bodies([(self.talker, {"request": "stop_rtp_forward", "room": ROOM, "stream_id": stream}) for stream in self.streams])
        # The session's end takes its handles out of the room.
        self.janus.all([{"janus": "destroy"}])
        self.janus.close()
        self.socket.close()
        time.sleep(2)

    def close(self):
        self.receivers.close()
        for one in self.sockets:
            one.close()
