"""A web process that is killed while it replays: its plan is found interrupted, and resumed by the next one."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.deployments import Numbered, deployed
from support.gateways import free_port
from support.scripted_upstream import Pause, Script, Seen
from support.waiting import until
from support.web_process import WebProcess

SAMPLES = 24


class Thoughtful(Numbered):
    """Takes a while for each answer, for as long as ``seconds`` says so."""

    seconds = 0.0

    def __call__(self, seen: Seen) -> Script:
        script = super().__call__(seen)
        return Script((Pause(self.seconds), *script.steps)) if self.seconds else script


def test_a_killed_web_process_leaves_a_plan_that_the_next_one_goes_on_with(
    postgres: PostgresEndpoint, tmp_path: Path
) -> None:
    port, token, model = free_port(), secrets.token_hex(16), Thoughtful()
    config = f'web.port = {port}\nweb.token = "{token}"\n'
    with deployed(tmp_path, postgres, config, model) as deployment:
        node = str(deployment.node("hi"))
        web = WebProcess(tmp_path, port)

        def plan(identity: str) -> Any:
            return web.ask("GET", f"/api/replays/{identity}", token=token)[1]

        try:
            web.start()
            model.seconds, before = 0.3, len(model.asked)
            status, started = web.ask("POST", "/api/replays", {"nodes": [node], "samples": SAMPLES}, token)
            assert status == 202, started
            identity = started["plan_id"]
            until(lambda: plan(identity)["done"] >= 3)
            web.kill()
            web.start()
            until(lambda: plan(identity)["state"] == "interrupted", 40)
            done = plan(identity)["done"]
            assert 3 <= done < SAMPLES
            model.seconds = 0.0
            status, resumed = web.ask("POST", f"/api/replays/{identity}/resume", {}, token)
            assert (status, resumed["plan_id"]) == (202, identity)
            until(lambda: plan(identity)["state"] == "done", 60)
            assert plan(identity)["done"] == SAMPLES
        finally:
            web.stop()
        answers = deployment.ask(
            """SELECT count(DISTINCT replay_fingerprint(e.identity)) AS marks, count(*) AS answers
            FROM pipeline_event_inbox e JOIN session_turn t USING (event_id)
            WHERE e.purpose = 'replay' AND t.node_status = 'ok'"""
        )
        assert answers == [{"marks": SAMPLES, "answers": SAMPLES}]
        # The two calls that were on their way when it was killed are asked again where the gateway gave them up.
        assert SAMPLES <= len(model.asked) - before <= SAMPLES + 2
