"""Feedback on what is not stored is refused by the running gateway, unless it may come before its target."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from uuid import UUID, uuid4

import openai
import pytest

from regraft.flows.capture.feedback_targets import FeedbackTargets
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.questions import FeedbackTarget
from regraft.infra.postgres.pool import connect
from regraft.presentation.gateway.event_ids import EventIds
from support.deployments import deployed
from support.waiting import until

HOUR = 3_600 * 10**9


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, postgres):
    with deployed(tmp_path_factory.mktemp("feedback"), postgres) as running:
        running.node("Is ingest up?")
        yield running


def send(deployment, body, **headers):
    """Status and answer. ``Wait="1"`` sends X-Regraft-Wait."""
    connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=30)
    named = {f"X-Regraft-{name}": value for name, value in headers.items()}
    try:
        connection.request("POST", "/v1/feedback", json.dumps(body), {"Content-Type": "application/json", **named})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def refused(answer):
    status, body = answer
    assert body["error"]["type"] == "invalid_request_error"
    return status, body["error"]["code"], body["error"]["param"]


def made_up(ago_ns):
    """The id of a turn that no gateway ever gave."""
    return str(UUID(bytes=EventIds().new(time.time_ns() - ago_ns)))


def answered(deployment, text):
    """The turn of an answer that a client has just got."""
    client = openai.OpenAI(base_url=f"{deployment.url}/v1", api_key="none", max_retries=0)
    asked = [{"role": "user", "content": text}]
    raw = client.chat.completions.with_raw_response.create(model="small", messages=asked)
    return raw.headers["x-regraft-turn"]


@pytest.mark.parametrize("turn", [str(uuid4()), made_up(HOUR)], ids=["no id of a gateway", "old"])
def test_a_turn_that_is_not_stored_is_refused_with_what_to_do(deployment, turn):
    answer = send(deployment, {"turn_id": turn, "reward": 1})
    assert refused(answer) == (404, "turn_not_found", "turn_id")
    message = answer[1]["error"]["message"]
    assert turn in message
    assert "X-Regraft-Wait: 10" in message
    assert "X-Regraft-Late: allow" in message


def test_an_openai_client_raises_not_found(deployment):
    client = openai.OpenAI(base_url=f"{deployment.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.NotFoundError) as refusal:
        client.post("/feedback", body={"turn_id": str(uuid4()), "reward": 1}, cast_to=object)
    assert (refusal.value.code, refusal.value.param) == ("turn_not_found", "turn_id")


def test_feedback_right_after_the_answer_is_taken_and_finds_its_turn(deployment):
    turn = answered(deployment, "Said at once?")
    status, body = send(deployment, {"turn_id": turn, "reward": 0.5})
    assert (status, body["target"] in ("stored", "expected")) == (202, True)
    query = "SELECT reward FROM turn_outcome WHERE turn_id = %(turn)s"
    until(lambda: deployment.ask(query, turn=turn) == [{"reward": 0.5}])


def test_waiting_tells_that_the_turn_is_stored(deployment):
    turn = answered(deployment, "Worth waiting for?")
    assert send(deployment, {"turn_id": turn, "reward": 1}, Wait="30")[1]["target"] == "stored"


def test_a_node_is_as_good_a_target_as_its_turn(deployment):
    node = deployment.node("Which node?")
    assert send(deployment, {"turn_id": str(node), "reward": 1})[1]["target"] == "stored"


def test_a_new_id_is_expected_unless_somebody_waited_for_it(deployment):
    body = {"turn_id": made_up(0), "reward": 1}
    assert send(deployment, body)[1]["target"] == "expected"
    assert refused(send(deployment, body, Wait="0.2")) == (404, "turn_not_found", "turn_id")


def test_feedback_may_be_allowed_to_come_before_its_turn(deployment):
    turn = str(uuid4())
    status, body = send(deployment, {"turn_id": turn, "reward": 1}, Late="allow")
    assert (status, body["target"]) == (202, "unchecked")
    query = "SELECT feedback_id::text FROM feedback WHERE turn_id = %(turn)s"
    until(lambda: deployment.ask(query, turn=turn) == [{"feedback_id": body["id"]}])


def test_a_session_is_looked_up_when_asked_for(deployment):
    deployment.node("Hello", {"X-Regraft-Session": "known-one"})
    assert send(deployment, {"session": "known-one", "reward": 1}, Wait="5")[1]["target"] == "stored"
    assert refused(send(deployment, {"session": "no-such-one", "reward": 1}, Wait="0")) == (
        404,
        "session_not_found",
        "session",
    )
    assert send(deployment, {"session": "comes-later", "reward": 1})[1]["target"] == "unchecked"


@pytest.mark.parametrize(
    "headers", [{"Wait": "soon"}, {"Wait": "-1"}, {"Wait": "61"}, {"Wait": "nan"}, {"Late": "perhaps"}], ids=str
)
def test_headers_that_say_nothing_are_refused(deployment, headers):
    answer = send(deployment, {"turn_id": str(uuid4()), "reward": 1}, **headers)
    assert refused(answer) == (400, "invalid_feedback", None)
    assert f"X-Regraft-{next(iter(headers))}" in answer[1]["error"]["message"]


def test_another_tenants_turn_and_session_are_not_there(truth, calls):
    call = calls(who={"session": "mine"})
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(call)], SeenIds())
        (session,) = connection.execute("SELECT session_id FROM session").fetchall()
    for scope, stored in ((call.scope, True), ("other", False)):
        turn = FeedbackTarget(scope=scope, turn_id=call.event_id)
        named = FeedbackTarget(scope=scope, session_claim=session["session_id"])
        assert looked_up(truth, turn, named) == [stored, stored]


def test_nothing_is_said_while_the_store_is_away():
    target = FeedbackTarget(scope="s", turn_id=uuid4())
    assert looked_up("postgresql://127.0.0.1:1/none", target) == [None]


def looked_up(dsn, *targets):
    async def main():
        looking = FeedbackTargets(dsn)
        try:
            return [await looking.is_stored(each) for each in targets]
        finally:
            looking.close()

    return asyncio.run(main())
