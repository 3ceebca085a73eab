"""What the end-to-end tests share: a running stack, Kafka's records as third parties see them, and devices at door A."""
import contextlib, json, os, pathlib, queue, random, signal, socket, struct, subprocess, threading, time, uuid

import confluent_kafka
import jsonschema
import requests
from websockets.sync.client import connect

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {p.stem: json.loads(p.read_text()) for p in (ROOT / "schemas/kafka").glob("*.json")}
VALIDATORS = {name: jsonschema.Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
TOPICS = {
    "ptt.signal.responses": "signal-response", "ptt.talks": "talk", "ptt.quality": "quality", "ptt.floor": "floor",
    "ptt.archive": "archive", "ptt.rooms": "room", "ptt.owners": "owner", "ptt.dead-letter": None,
}


def wait_for(check, seconds=10, what="it"):
    """Asks until there is an answer; the last one is what counts. At first it asks often, for most things are quick."""
    end, pause = time.monotonic() + seconds, 0.001
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


class Stack:
    """`ptt stack`, as a person starts it."""

    running = []

    def __init__(self, binaries, directory, kafka=None, prefix=None, environment=None):
        self.binaries, self.directory, self.kafka = pathlib.Path(binaries).resolve(), pathlib.Path(directory), kafka
        self.prefix = prefix
        # What each request at door A has to say besides: `apisecret`, `token`.
        self.proof = {}
        self.told = {}
        # A program that crashes says where, in its log.
        self.environment = {**os.environ, "SWIFT_BACKTRACE": "enable=yes,color=no,threads=crashed,limit=24", **(environment or {})}
        self.environment.pop("KAFKA_BOOTSTRAP", None)
        self.start()

    def start(self):
        words = (self.prefix(self.directory) if self.prefix else []) + [self.binaries / "ptt", "stack", "--dir", self.directory, "--json"]
        if self.kafka:
            words += ["--kafka", self.kafka]
        self.log = open(self.directory / "stack.log", "ab")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, env=self.environment, cwd=ROOT)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the stack did not start:\n" + self.logs())
        self.address = json.loads(line)
        if self not in Stack.running:
            Stack.running.append(self)

    def logs(self, most=3000):
        """What the stack and its children said since this was asked last, the end of it."""
        text = ""
        for path in [self.directory / "stack.log", *sorted((self.directory / "log").glob("*.log"))]:
            said = path.read_bytes() if path.exists() else b""
            new = said[self.told.get(path, 0):]
            self.told[path] = len(said)
            if new:
                text += f"--- {path.name}\n" + new[-most:].decode(errors="replace")
        return text

    def now(self):
        return json.loads((self.directory / "stack.json").read_text())

    def pid(self, name):
        return self.now()["pids"][name]

    def kill(self, name, number=signal.SIGKILL):
        """Kills a child and waits until it is back, ready."""
        old = self.pid(name)
        os.kill(old, number)
        wait_for(lambda: self.now()["pids"].get(name, old) != old, 20, f"{name} again")

    def redis(self, *words):
        port = self.address["redis"].split(":")[1]
        return subprocess.run(["redis-cli", "-p", port, *words], capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    @contextlib.contextmanager
    def frozen(self, name):
        """A child that is there and does nothing, until the block is over or somebody kills it."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def ready(self, name, seconds=60):
        url = {"media-service": self.address["media"]["http"], "bo-server": self.address["bo"], "file-server": self.address["file"]}[name]

        def check():
            try:
                return requests.get(url + "/readyz", timeout=2).status_code == 200
            except requests.RequestException:
                return False
        wait_for(check, seconds, f"{name} ready")

    def stop(self):
        if self in Stack.running:
            Stack.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Bus:
    """Everything on Kafka since the start, each value checked against its schema."""

    def __init__(self, bootstrap):
        self.records, self.invalid, self.lock, self.running = [], [], threading.Lock(), True
        self.unchecked, self.sent = queue.SimpleQueue(), set()
        # A lone broker that was away first tells of a cluster without brokers; this client then knows nobody to ask, and begins anew with
        # the bootstrap servers only after this time, by default five minutes.
        common = {"bootstrap.servers": bootstrap, "metadata.recovery.rebootstrap.trigger.ms": 1000}
        self.producer = confluent_kafka.Producer({**common, "linger.ms": 0})
        self.consumer = confluent_kafka.Consumer({
            **common, "group.id": f"test-{uuid.uuid4()}", "enable.auto.commit": False, "fetch.wait.max.ms": 10,
            "auto.offset.reset": "earliest"})
        # Assigned by hand: a group of the embedded broker starts only after three seconds.
        metadata = self.consumer.list_topics(timeout=10)
        self.consumer.assign([
            confluent_kafka.TopicPartition(t, p, confluent_kafka.OFFSET_BEGINNING) for t in TOPICS for p in metadata.topics[t].partitions])
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.checker = threading.Thread(target=self.check, daemon=True)
        self.checker.start()

    def read(self):
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None or message.error():
                continue
            with self.lock:
                self.records.append(message)
            self.unchecked.put(message)

    def check(self):
        """Validates every value, behind the reader: the validator is slower than the services."""
        while (message := self.unchecked.get()) is not None:
            validator, value = VALIDATORS.get(TOPICS[message.topic()]), message.value()
            # What the tests send is hostile on purpose: only what the services say is held to the schemas.
            if validator and value is not None and value not in self.sent:
                try:
                    validator.validate(json.loads(value))
                except (ValueError, jsonschema.ValidationError) as error:
                    self.invalid.append((message.topic(), value, str(error)[:400]))

    def stop(self):
        self.running = False
        self.thread.join()
        self.consumer.close()
        self.unchecked.put(None)
        self.checker.join()

    def of(self, topic):
        with self.lock:
            return [m for m in self.records if m.topic() == topic]

    def messages(self, topic):
        return [json.loads(m.value()) for m in self.of(topic) if m.value() and m.value() not in self.sent]

    def send(self, value, key=None, headers=None, partition=None, topic="ptt.signal.requests"):
        value = value if isinstance(value, bytes) else json.dumps(value).encode()
        if value not in {m.value() for m in self.of(topic)}:
            self.sent.add(value)
        where = {} if partition is None else {"partition": partition}
        self.producer.produce(topic, value, key=key, headers=headers or [], **where)
        self.producer.flush(30)

    def signal(self, type, body, seconds=15, key="gid", partition=None, **envelope):
        """Sends a request, gives the response."""
        names = {1: "create_group", 2: "destroy_group", 3: "alter_participant", 4: "alter_group", 5: "remove_participant",
                 6: "cancel_emergency"}
        message = {"msg_type": 2, "ip": "10.1.2.3", "signal_msg": {"signal_type": type, names.get(type, "other") + "_req": body}, **envelope}
        return self.ask(message, str(body.get("gid")) if key == "gid" else key, seconds, partition)

    def ask(self, message, key=None, seconds=15, partition=None):
        request = str(uuid.uuid4())
        self.send(message, key, [("request-id", request.encode()), ("traceparent", b"00-1-2-01")], partition)
        return wait_for(lambda: self.answer(request), seconds, f"the answer to {message}")

    def answer(self, request):
        for m in self.of("ptt.signal.responses"):
            if dict(m.headers() or []).get("request-id") == request.encode():
                assert dict(m.headers())["traceparent"] == b"00-1-2-01"
                return json.loads(m.value())
        return None

    def talks(self, uid=None, gid=None):
        found = {}
        for m in self.messages("ptt.talks"):
            talk = m["ptt_msg"]
            if uid is None or talk["uid"] == str(uid):
                if gid is None or talk["grp_id"] == str(gid):
                    found[talk["talk_id"]] = talk
        return list(found.values())

    def floor(self, gid):
        return [m["floor_msg"] for m in self.messages("ptt.floor") if m["floor_msg"]["grp_id"] == gid]


def code(response):
    return response["signal_msg"]["res"]["code"]


class Janus:
    """A client of door A by Janus's documentation, on a raw WebSocket."""

    def __init__(self, url, proof=None):
        self.socket = connect(url, subprotocols=["janus-protocol"], max_size=None)
        self.proof = proof or {}
        self.events, self.answers, self.lock = [], {}, threading.Condition()
        self.session = None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.session = self.ask({"janus": "create"})["data"]["id"]

    def read(self):
        try:
            for text in self.socket:
                message = json.loads(text)
                with self.lock:
                    self.answers.setdefault(message.get("transaction"), []).append(message)
                    self.events.append(message)
                    self.lock.notify_all()
        except Exception:
            pass

    def send(self, message):
        transaction = uuid.uuid4().hex
        message = {**self.proof, **message, "transaction": transaction}
        if self.session and "session_id" not in message:
            message["session_id"] = self.session
        self.socket.send(json.dumps(message))
        return transaction

    def ask(self, message, event=False, seconds=10):
        transaction = self.send(message)

        def answer():
            return next((a for a in self.answers.get(transaction, []) if not (event and a["janus"] == "ack")), None)
        with self.lock:
            assert self.lock.wait_for(answer, seconds), f"the answer to {message} did not come within {seconds} s"
            return answer()

    def attach(self):
        return self.ask({"janus": "attach", "plugin": "janus.plugin.audiobridge"})["data"]["id"]

    def message(self, handle, body, event=True, **more):
        answer = self.ask({"janus": "message", "handle_id": handle, "body": body, **more}, event)
        return answer.get("plugindata", {}).get("data", answer)

    def of(self, handle):
        with self.lock:
            return [e["plugindata"]["data"] for e in self.events if e.get("sender") == handle and "plugindata" in e]

    def close(self):
        self.socket.close()


class Device:
    """A radio: joins through door A, sends and receives RTP on a socket of its own, until it is closed or its test ends."""
    made = []

    def __init__(self, stack, room, uid, floor=True, rtcp=False, payload_type=100, display=None, join=True, srtp=None, **more):
        self.room, self.uid, self.payload_type = room, uid, payload_type
        self.janus = Janus(stack.address["media"]["janus"], stack.proof)
        self.handle = self.janus.attach()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.made.append(self)
        self.sequence, self.timestamp, self.ssrc = random.getrandbits(16), random.getrandbits(32), random.getrandbits(31) + 1
        rtp = {"ip": "127.0.0.1", "port": self.socket.getsockname()[1], "payload_type": payload_type}
        if rtcp:
            rtp["floor"] = "rtcp"
        if srtp:
            rtp["srtp"] = srtp
        body = {"request": "join", "room": room, "id": uid, "display": display or f"radio {uid}", "rtp": rtp, **more}
        if floor and not rtcp:
            body["floor"] = True
        self.joined = self.janus.message(self.handle, body) if join else None
        if join:
            assert self.joined.get("audiobridge") == "joined", self.joined
            self.server = (self.joined["rtp"]["ip"], self.joined["rtp"]["port"])

    def floor(self, action, **more):
        """Asks, and gives the state that answers it."""
        return self.janus.message(self.handle, {"request": "floor", "action": action, **more})

    def floor_events(self):
        return [e for e in self.janus.of(self.handle) if e.get("audiobridge") == "floor"]

    def wait_floor(self, state, seconds=10):
        return wait_for(lambda: next((e for e in self.floor_events() if e["state"] == state), None), seconds, f"floor {state} for {self.uid}")

    def packet(self, payload, marker=False):
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 960) & 0xFFFFFFFF
        return struct.pack("!BBHII", 0x80, (0x80 if marker else 0) | self.payload_type, self.sequence, self.timestamp, self.ssrc) + payload

    def talk(self, payloads, lose=(), interval=0.02):
        """Sends packets in real time; those of `lose` are left out."""
        start = time.monotonic()
        for index, payload in enumerate(payloads):
            packet = self.packet(payload, index == 0)
            if index not in lose:
                self.socket.sendto(packet, self.server)
            pause = start + (index + 1) * interval - time.monotonic()
            if pause > 0:
                time.sleep(pause)

    def send(self, data):
        self.socket.sendto(data, self.server)

    def receive(self, seconds, least=0):
        """All datagrams of some time, which is up to 5 s longer until there is so much RTP: (RTP, others)."""
        start, rtp, other = time.monotonic(), [], []
        while (waited := time.monotonic() - start) < seconds or len(rtp) < least and waited < seconds + 5:
            try:
                data = self.socket.recv(2048)
            except TimeoutError:
                continue
            (other if 192 <= data[1] <= 223 or data[0] < 4 else rtp).append(data)
        return rtp, other

    def close(self):
        self.janus.close()
        self.socket.close()


def opus(seconds, directory):
    """Real speech as Opus packets of 20 ms: espeak-ng, resampled and encoded by ffmpeg's libopus, taken out of Ogg."""
    path = pathlib.Path(directory) / "speech.opus"
    if not path.exists():
        wav = path.with_suffix(".wav")
        text = "This is control, all units report your position, and keep this channel free. " * 6
        subprocess.run(["espeak-ng", "-w", wav, text], check=True)
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", wav, "-ar", "16000", "-ac", "1", "-c:a", "libopus", "-b:a", "24k",
                        "-application", "voip", "-frame_duration", "20", path], check=True)
    data, offset, packets, partial = path.read_bytes(), 0, [], b""
    while offset + 27 <= len(data):
        segments = data[offset + 26]
        position = offset + 27 + segments
        for size in data[offset + 27:offset + 27 + segments]:
            partial += data[position:position + size]
            position += size
            if size < 255:
                packets.append(partial)
                partial = b""
        offset = position
    return packets[2:][:int(seconds * 50)]


def decoded_ms(path):
    """How long a decoder that honours the LAME tag plays it."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "16000", "-"], check=True,
                         capture_output=True).stdout
    return len(raw) / 2 / 16
