"""`ptt`'s commands as people and scripts use them: what they print, and their exit statuses."""
import json, re, signal, subprocess

import pytest
import requests

from harness import Device, wait_for


@pytest.fixture
def ptt(stack):
    """Starts `ptt COMMAND …` with the stack's folder; whatever still runs ends with the test."""
    started = []

    def start(command, *words):
        where = ["--dir", stack.directory]
        process = subprocess.Popen([str(w) for w in (stack.binaries / "ptt", command, *where, *words)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def run(ptt):
    """Runs one to its end: exit status, standard output, standard error."""
    def done(*words):
        process = ptt(*words)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error
    return done


@pytest.fixture
def spoken(tmp_path):
    """One second of speech, as a file."""
    path = tmp_path / "words.wav"
    text = "This is control, all units report your position, and keep this channel free."
    subprocess.run(["espeak-ng", "-w", tmp_path / "all.wav", text], check=True)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "all.wav", "-t", "1", "-ar", "16000", "-ac", "1", path], check=True)
    return path


def res(out):
    message = json.loads(out)["signal_msg"]
    return message["signal_type"], message["res"]["code"]


def test_what_protects_media_is_told(stack):
    told = subprocess.run([stack.binaries / "media-service", "--version"], check=True, capture_output=True, text=True, timeout=20).stdout
    metrics = requests.get(stack.address["media"]["http"] + "/metrics", timeout=5).text
    name = re.search(r'media_srtp_backend\{name="(.+)"\} 1', metrics)[1]
    assert re.match(r"intel-ipsec-mb \d|OpenSSL \d", name) and name in told, (told, name)


def test_signals_by_hand(stack, run, gid):
    status, out, _ = run("signal", "create", gid, "Night", "shift", "--dispatcher", "7")
    assert status == 0 and res(out) == (1, 0) and json.loads(out)["signal_msg"]["create_group_resp"]["group_name"] == "Night shift"
    status, out, _ = run("signal", "create", gid, "Other")
    assert status == 1 and res(out) == (1, 486)
    device = Device(stack, gid, 5)
    status, out, _ = run("signal", "alter", gid, 5, 1)
    assert status == 0 and res(out) == (3, 0)
    status, out, _ = run("signal", "destroy", gid)
    assert status == 0 and res(out) == (2, 0)
    wait_for(lambda: any(e.get("audiobridge") == "destroyed" for e in device.janus.of(device.handle)), 5, "told")
    status, out, _ = run("signal", "destroy", gid)
    assert status == 1 and res(out) == (2, 485)
    device.close()


@pytest.mark.parametrize("words, said", [
    (["signal"], "say what: create GID NAME"), (["signal", "create", "0", "A"], "say what"), (["signal", "alter", "1", "2", "3"], "say what"),
    (["signal", "destroy", "1", "--mode", "open"], "--mode goes with create"), (["signal", "destroy", "1", "--loud"], "unknown option --loud"),
    (["tail", "--loud"], "unknown option --loud"), (["load"], "--room is needed"), (["load", "--room", "x"], "--room is a number"),
    (["radio", "--room", "1"], "--uid is needed"), (["radio", "--room", "1", "--uid", "x"], "are numbers"),
    (["radio", "--room", "987654321", "--uid", "5"], "485"), (["radio", "--room", "1", "--uid", "5", "--say", "/nowhere.wav"], "/nowhere.wav"),
])
def test_what_is_wrong_is_said(run, words, said):
    status, out, error = run(*words)
    assert status == 1 and out == "" and error.startswith(f"ptt {words[0]}: ") and said in error


def test_without_a_stack_it_says_how_to_start_one(stack, tmp_path):
    for command, words in (("radio", ["--room", "1", "--uid", "1"]), ("tail", []), ("signal", ["destroy", "1"]), ("load", ["--room", "1"])):
        ended = subprocess.run([stack.binaries / "ptt", command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 1 and "no stack in run: start one with ptt stack --dir run" in ended.stderr, ended
    assert subprocess.run([stack.binaries / "ptt", "dance"], capture_output=True, timeout=30).returncode == 2


def test_tail_shows_each_record_on_a_line(ptt, bus, room):
    tail = ptt("tail", "--from-beginning")
    line = next(l for l in tail.stdout if f'"gid":{room}' in l and "ptt.signal.responses" in l)
    assert re.match(rf"\d\d:\d\d:\d\d ptt\.signal\.responses\[\d+\]@\d+ {room} {{.*}}\n$", line)
    tail.send_signal(signal.SIGINT)
    tail.communicate(timeout=10)
    assert tail.returncode == 0


def test_radios_talk_and_listen(ptt, run, bus, room, spoken, tmp_path):
    heard = tmp_path / "heard.wav"
    listener = ptt("radio", "--room", room, "--uid", 2, "--listen", heard)
    assert listener.stderr.readline() == f"joined room {room} as 2\n"
    status, out, error = run("radio", "--room", room, "--uid", 1, "--say", spoken)
    assert status == 0 and "said 1000 ms of 1000 ms" in error and json.loads(out) == {"heard_packets": 0, "heard_bursts": 0, "lost": 0}
    assert wait_for(lambda: bus.talks(1, room), 10, "the talk")[0]["duration"] == "1.00"
    out, error = listener.communicate("q\n", timeout=20)
    assert listener.returncode == 0 and json.loads(out) == {"heard_packets": 50, "heard_bursts": 1, "lost": 0}
    probe = json.loads(subprocess.run(["ffprobe", "-v", "error", "-show_format", "-of", "json", heard], check=True, capture_output=True).stdout)
    assert abs(float(probe["format"]["duration"]) - 1) < 0.03


def test_a_radio_that_may_not_talk_fails(stack, run, room, spoken):
    other = Device(stack, room, 3)
    assert other.floor("request")["state"] == "granted"
    status, _, error = run("radio", "--room", room, "--uid", 1, "--say", spoken, "--seconds", 1)
    assert status == 1 and "floor not granted: timeout" in error and '"state":"queued"' in error
    other.close()


def test_a_load_is_reported_as_json(run, room):
    status, out, _ = run("load", "--room", room, "--listeners", 8, "--seconds", 1, "--json")
    report = json.loads(out)
    assert status == 0 and out.count("\n") == 1
    assert set(report) == {"listeners", "talkers", "seconds", "packets_sent", "expected", "delivered", "lost", "latency_ms"}
    assert [report[k] for k in ("listeners", "talkers", "seconds", "packets_sent", "expected", "delivered", "lost")] == [8, 1, 1, 50, 400, 400, 0]
    late = report["latency_ms"]
    assert set(late) == {"p50", "p90", "p99", "max"} and 0 < late["p50"] <= late["p90"] <= late["p99"] <= late["max"] < 1000
