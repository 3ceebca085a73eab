"""Signal requests 1 to 6 on Kafka: answers, codes, idempotence, dead letters (MESSAGES.md §1)."""
import json, time

import pytest

from harness import Device, code, wait_for


def test_create_is_idempotent_and_names_collide(bus, gid):
    first = bus.signal(1, {"gid": gid, "group_name": "A", "dispatcher_id": 7})
    assert first["signal_msg"]["create_group_resp"] == {"gid": gid, "group_name": "A", "dispatcher_id": 7, "res_code": 0}
    assert first["ip"] == "10.1.2.3"
    assert code(bus.signal(1, {"gid": gid, "group_name": "A", "dispatcher_id": 7})) == 0
    again = bus.signal(1, {"gid": gid, "group_name": "B", "dispatcher_id": 7})
    assert code(again) == 486 and again["signal_msg"]["create_group_resp"]["res_code"] == 486
    assert code(bus.signal(1, {"gid": gid, "group_name": "A", "dispatcher_id": 8})) == 486


def test_integers_come_as_strings_too(bus, gid):
    answer = bus.signal(1, {"gid": str(gid), "group_name": "A", "dispatcher_id": "7"})
    assert answer["signal_msg"]["create_group_resp"]["gid"] == gid


def test_destroy_and_the_codes_of_absence(bus, gid):
    assert code(bus.signal(2, {"gid": gid, "dispatcher_id": 7})) == 485
    assert code(bus.signal(3, {"gid": gid, "uid": 5, "role": 1, "dispatcher_id": 7})) == 485
    assert code(bus.signal(1, {"gid": gid, "group_name": "A", "dispatcher_id": 7})) == 0
    assert code(bus.signal(3, {"gid": gid, "uid": 5, "role": 1, "dispatcher_id": 7})) == 487
    assert code(bus.signal(5, {"gid": gid, "uid": 5, "dispatcher_id": 7})) == 487
    assert code(bus.signal(6, {"gid": gid, "dispatcher_id": 7})) == 0
    assert code(bus.signal(4, {"gid": gid, "group_name": "B", "options": {"queue_max": 2}, "dispatcher_id": 7})) == 0
    assert code(bus.signal(1, {"gid": gid, "group_name": "B", "dispatcher_id": 7})) == 0
    assert code(bus.signal(2, {"gid": gid, "dispatcher_id": 9})) == 0
    assert code(bus.signal(2, {"gid": gid, "dispatcher_id": 7})) == 485
    wait_for(lambda: any(m.key() == str(gid).encode() and m.value() is None for m in bus.of("ptt.rooms")), 10, "the tombstone")


@pytest.mark.parametrize("body, expected", [
    ({"signal_type": 3, "alter_participant_req": {"gid": 9, "uid": 5, "role": 3, "dispatcher_id": 7}}, 484),
    ({"signal_type": 3, "alter_participant_req": {"gid": 9, "uid": 5, "dispatcher_id": 7}}, 483),
    ({"signal_type": 3, "alter_participant_req": {"gid": 9, "uid": "x", "role": 1, "dispatcher_id": 7}}, 484),
    ({"signal_type": 9, "create_group_req": {"gid": 9, "group_name": "A", "dispatcher_id": 7}}, 482),
    ({"create_group_req": {"gid": 9, "group_name": "A", "dispatcher_id": 7}}, 483),
    ({"signal_type": 1, "create_group_req": {"gid": 9, "dispatcher_id": 7}}, 483),
    ({"signal_type": 1, "create_group_req": {"gid": 9, "group_name": "", "dispatcher_id": 7}}, 484),
    ({"signal_type": 1, "create_group_req": {"gid": 9, "group_name": "A"}}, 483),
    ({"signal_type": 1, "create_group_req": {"gid": 0, "group_name": "A", "dispatcher_id": 7}}, 484),
    ({"signal_type": 1, "create_group_req": {"gid": 2**53, "group_name": "A", "dispatcher_id": 7}}, 484),
    ({"signal_type": 1, "create_group_req": {"gid": 9, "group_name": "A", "dispatcher_id": 7, "options": {"t1_ms": "soon"}}}, 484),
    ({"signal_type": 1, "create_group_req": {"gid": 9, "group_name": "A", "dispatcher_id": 7, "mode": "loud"}}, 484),
    ({"signal_type": 1, "destroy_group_req": {"gid": 9, "dispatcher_id": 7}}, 483),
])
def test_what_is_wrong_is_answered_and_buried(bus, body, expected):
    before = len(bus.of("ptt.dead-letter"))
    answer = bus.ask({"msg_type": 2, "ip": "", "signal_msg": body}, "9")
    assert code(answer) == expected, answer
    if expected == 482:
        assert set(answer["signal_msg"]) == {"signal_type", "gid", "res"}
    letters = wait_for(lambda: bus.of("ptt.dead-letter")[before:], 10, "the dead letter")
    headers = dict(letters[0].headers())
    assert headers["source-topic"] == b"ptt.signal.requests" and headers["error"]
    assert int(headers["source-partition"]) >= 0 and int(headers["source-offset"]) >= 0


@pytest.mark.parametrize("value", [
    b"", b"{", b"\xff\xfe\x00", b"[1,2]", b'"text"', b"null", b'{"msg_type":"x"}', b"{}", b'{"msg_type":2}', b'{"msg_type":2,"signal_msg":[]}',
    b"[" * 100_000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"msg_type":2,"signal_msg":{"signal_type":1,"create_group_req":{"gid":"no"}}}',
    b'{"msg_type":' + b"9" * 400 + b"}",
])
def test_what_can_not_be_answered_is_only_buried(bus, room, value):
    before, answers = len(bus.of("ptt.dead-letter")), len(bus.of("ptt.signal.responses"))
    bus.send(value, "1")
    letters = wait_for(lambda: bus.of("ptt.dead-letter")[before:], 10, "the dead letter")
    assert (letters[0].value() or b"") == value
    assert len(bus.of("ptt.signal.responses")) == answers


def test_huge_values_are_cut(bus):
    before = len(bus.of("ptt.dead-letter"))
    bus.send(b'{"x":"' + b"a" * 960_000, "1")
    letter = wait_for(lambda: bus.of("ptt.dead-letter")[before:], 10, "the dead letter")[0]
    assert len(letter.value()) == 65_536 and dict(letter.headers())["cut"] == b"960006"


def test_what_is_meant_for_others_is_ignored(bus, gid):
    before = len(bus.of("ptt.dead-letter"))
    bus.send({"msg_type": 1, "ptt_msg": {}}, "1")
    bus.producer.produce("ptt.signal.requests", None, key="1")
    assert code(bus.signal(1, {"gid": gid, "group_name": "A", "dispatcher_id": 7, "unknown": {"x": 1}})) == 0
    assert len(bus.of("ptt.dead-letter")) == before


def test_a_request_on_any_partition_and_without_key_finds_its_room(bus, gid):
    for partition in range(12):
        answer = bus.signal(1, {"gid": gid + partition, "group_name": "A", "dispatcher_id": 7}, key=None, partition=partition)
        assert code(answer) == 0
    rooms = {int(m.key()): m.partition() for m in bus.of("ptt.rooms") if m.value()}
    wait_for(lambda: all(gid + p in {int(m.key()) for m in bus.of("ptt.rooms")} for p in range(12)), 10, "the room records")
    responses = {m.partition() for m in bus.of("ptt.signal.responses") if m.key() == str(gid).encode()}
    assert len(responses) == 1, "all of one group is on one partition"


def test_what_was_moved_once_is_not_moved_again(bus, gid):
    body = {"msg_type": 2, "ip": "", "signal_msg": {"signal_type": 2, "destroy_group_req": {"gid": gid, "dispatcher_id": 7}}}
    for partition in range(12):
        headers = [("request-id", f"{gid}-{partition}".encode()), ("traceparent", b"00-1-2-01"), ("moved", b"1")]
        bus.send(body, str(gid), headers, partition)
    answers = [wait_for(lambda: bus.answer(f"{gid}-{partition}"), 10, f"the answer on {partition}") for partition in range(12)]
    assert sorted(map(code, answers)) == [485] + [503] * 11, "its own partition's owner answers for the room, the others say no"
    refused = next(a for a in answers if code(a) == 503)["signal_msg"]
    assert refused["destroy_group_resp"] == {"gid": gid, "dispatcher_id": 7} and "try again" in refused["res"]["msg"]


def test_a_role_changes_live(stack, bus, room):
    device = Device(stack, room, 17)
    assert code(bus.signal(3, {"gid": room, "uid": 17, "role": 2, "dispatcher_id": 7})) == 0
    event = wait_for(lambda: [f for f in bus.floor(room) if f["state"] == "role"], 10, "the role event")[-1]
    assert event["uid"] == 17 and event["role"] == 2
    assert code(bus.signal(5, {"gid": room, "uid": 17, "dispatcher_id": 7})) == 0
    wait_for(lambda: any(e.get("kicked") == 17 for e in device.janus.of(device.handle)), 5, "told that it was put out")
    device.close()


def test_destroy_while_somebody_talks(stack, bus, room, speech):
    device = Device(stack, room, 21)
    assert device.floor("request")["state"] == "granted"
    device.talk(speech[:50])
    answer = bus.signal(2, {"gid": room, "dispatcher_id": 7})
    assert code(answer) == 0
    talks = wait_for(lambda: bus.talks(21, room), 5, "the talk record")
    assert len(talks) == 1 and abs(float(talks[0]["duration"]) - 1.0) < 0.05
    wait_for(lambda: any(e.get("audiobridge") == "destroyed" for e in device.janus.of(device.handle)), 5, "told")
    device.close()


def test_many_in_one_go_are_all_answered(bus, gid, broker):
    # The embedded broker gives out one batch a partition with each fetch: there the reader, not the service, sets the pace.
    start, count = gid // 2, 100 if broker == "embedded" else 5_000
    for index in range(count):
        bus.producer.produce(
            "ptt.signal.requests", key=str(start + index), value=json.dumps({"msg_type": 2, "ip": "", "signal_msg": {
                "signal_type": 1, "create_group_req": {"gid": start + index, "group_name": "Bulk", "dispatcher_id": 7}}}))
        bus.producer.poll(0)
    bus.producer.flush(30)
    wanted = {str(start + index).encode() for index in range(count)}
    wait_for(lambda: wanted <= {m.key() for m in bus.of("ptt.signal.responses")}, 60, "all answers")
