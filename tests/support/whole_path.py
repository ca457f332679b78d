"""The whole path of a call: a gateway before a scripted model server, and the database where its calls arrive."""

from __future__ import annotations

import contextlib
import http.client
import json
from uuid import UUID

from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.replay import plans as flow
from regraft.infra.postgres.pool import connect
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import Gateway, Upstream, free_port
from support.messages import assistant
from support.scripted_upstream import Pause, Script, Seen, plain


def reply_of(path, asked, said):
    """An answer in the words of the API that was asked."""
    if path == "/v1/messages":
        said = [{"type": "text", "text": said}]
        usage = {"input_tokens": 7, "output_tokens": 2}
        return {"type": "message", "role": "assistant", "content": said, "stop_reason": "end_turn", "usage": usage}
    if path == "/v1/responses":
        parts = [{"type": "output_text", "text": said}]
        output = [{"type": "message", "role": "assistant", "content": parts}]
        usage = {"input_tokens": 7, "output_tokens": 2}
        return {"id": said, "object": "response", "status": "completed", "output": output, "usage": usage}
    choice = {"index": 0, "finish_reason": "stop"}
    choice |= {"text": said} if path == "/v1/completions" else {"message": assistant(said)}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    return {"id": "x", "model": asked["model"], "system_fingerprint": "fp", "choices": [choice], "usage": usage}


class Model(Upstream):
    """A scripted model server. It answers with the number of the call, the model and the sampling it was asked with."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__(self.answer)
        self.asked: list[dict] = []
        self.paths: list[str] = []
        self.pause = pause
        self.later = 0  # calls that are told to come later
        self.refuse = False
        self.same = ""

    def answer(self, seen: Seen):
        if seen.path.endswith("/models"):
            listed = [{"id": name, "object": "model", "owned_by": "tests"} for name in ("small", "large")]
            return plain(200, json.dumps({"object": "list", "data": listed}).encode())
        asked = json.loads(seen.body)
        if self.later:
            self.later -= 1
            return plain(429, b'{"error":{"message":"slow down"}}', headers=(("Retry-After", "0.2"),))
        self.asked.append(asked)
        self.paths.append(seen.path)
        if self.refuse:
            return plain(503, b'{"error":{"message":"overloaded"}}')
        said = self.same or f"answer {len(self.asked)} of {asked['model']} to {len(asked.get('messages', ()))}"
        script = plain(200, json.dumps(reply_of(seen.path, asked, said)).encode())
        return Script((Pause(self.pause), *script.steps)) if self.pause else script


class WholePath:
    """The whole path of a call: a gateway before a model server, and the database where its calls arrive."""

    def __init__(self, dsn, nats_url, port):
        self.dsn = dsn
        self.nats_url = nats_url
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def call(self, messages, headers=None, **settings) -> tuple[UUID, int, dict]:
        """The turn, the status and the answer of a chat."""
        return self._request("/v1/chat/completions", {"model": "small", "messages": messages, **settings}, headers)

    def post(self, endpoint, document) -> UUID:
        """The turn of a call that succeeds."""
        turn, status, _ = self._request(endpoint, document)
        assert status == 200
        return turn

    def _request(self, endpoint, document, headers=None):
        sent = {"Content-Type": "application/json", **(headers or {})}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", endpoint, json.dumps(document), sent)
            response = connection.getresponse()
            return UUID(response.headers["x-regraft-turn"]), response.status, json.loads(response.read())

    def ask(self, query, **values):
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def node(self, turn) -> UUID:
        wait_until_stored(self.dsn, [turn])
        lineage.build(self.dsn)
        return self.ask("SELECT node_id FROM session_turn WHERE turn_id = %(turn)s", turn=turn)[0]["node_id"]

    def group(self, anchor) -> list[dict]:
        return self.ask(
            """SELECT b.*, r.model, r.run_status, r.variant, r.purpose FROM response_branch_records b
            JOIN execution_run_records r ON r.run_id = b.turn_id
            WHERE b.context_anchor_turn_id = %(anchor)s ORDER BY b.branch_index""",
            anchor=anchor,
        )

    def replay(self, nodes, variants, samples=1, *, again=False, gateway=None):
        planned = flow.prepare(self.dsn, nodes, variants, samples, again=again)
        return flow.run(self.dsn, gateway or self.url, planned, concurrency=3)


@contextlib.contextmanager
def gateway_before(model, nats_url, spool):
    """A gateway in this process, on a separate thread, before a model server. Gives its port."""
    upstream = UpstreamSettings(base_url=model.base_url, connect_timeout=2.0)
    settings = GatewaySettings(upstreams={"main": upstream}, spool=spool, nats_url=nats_url, port=free_port())
    with Gateway(settings):
        yield settings.port
