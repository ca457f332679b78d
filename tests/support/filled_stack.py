"""A deployment with content for every page: captured, replayed, evaluated, judged, queued and frozen."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from typer.testing import CliRunner

from regraft.flows.capture.waiting import wait_until_stored
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.presentation.cli.main import app
from support.deployments import Deployment, deployed
from support.gateways import free_port
from support.messages import system, user
from support.shop_model import ShopModel
from support.shop_talks import Client, hold_all, named
from support.topics import ODD, TOPICS, talks
from support.web_process import WebProcess

CONFIG = """\
web.port = {port}
web.token = "{admin}"
embedding.model = "static"
clusters.min_size = 4
review.reviewers = 2
review.random_share = 0.1
review.gold_share = 0.0
"""
RECIPE = """\
name = "shop-dpo"
kind = "dpo"
description = "What people prefer of the shop's answers"

[source]
labels = ["human", "imported", "signals"]

[splits]
train = 0.8
validation = 0.2
"""
JUDGE = "careful"
REVIEWERS = ("ann", "bob")


@dataclass(slots=True, kw_only=True)
class Shown:
    """Ids of things that have much to show. Of ``snapshots`` the first and the last are of one recipe."""

    node: str = ""
    session: str = ""
    cluster: str = ""
    plan: str = ""
    snapshots: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledStack:
    """A running deployment, its web process, a client of its gateway, and the token of each role."""

    deployment: Deployment
    web: WebProcess
    client: Client
    tokens: dict[str, str] = field(default_factory=dict)
    shown: Shown = field(default_factory=Shown)

    @property
    def origin(self) -> str:
        """Where the page is."""
        return self.web.origin

    def wait(self) -> None:
        """Return when every call of the client is in the graph."""
        wait_until_stored(self.deployment.dsn, self.client.turns)
        self.command("lineage", "build")

    def command(self, *arguments: str) -> Any:
        """The JSON output of a command. It runs in this process, which is faster than a subprocess."""
        config = self.deployment.folder / "regraft.toml"
        done = CliRunner().invoke(app, ["--config", str(config), *arguments, "--json"])
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return json.loads(done.stdout)


@contextmanager
def deployed_web(postgres: PostgresEndpoint, folder: Path) -> Iterator[FilledStack]:
    """A deployment with a token for each role; its web process is stopped at the end, if it was started."""
    port, admin = free_port(), secrets.token_hex(16)
    with deployed(folder, postgres, CONFIG.format(port=port, admin=admin), ShopModel()) as deployment:
        web = WebProcess(folder, port)
        roles = {**dict.fromkeys(REVIEWERS, "reviewer"), "viewer": "viewer"}
        tokens = {
            name: deployment.told("web-token", "create", name, "--role", role)["token"] for name, role in roles.items()
        }
        tokens["admin"] = admin
        try:
            yield FilledStack(deployment=deployment, web=web, client=Client(deployment.port), tokens=tokens)
        finally:
            web.stop()


def fill(stack: FilledStack, corpus: Path | None = None) -> None:
    """Fill an empty deployment, by the commands that a person would give. ``corpus``: a file to import besides."""
    deployment = stack.deployment
    recipe = deployment.folder / "shop-dpo.toml"
    recipe.write_text(RECIPE)
    hold_all(stack.client)
    for theme in TOPICS:
        _import_pairs(stack, theme, talks(theme))
    _import_pairs(stack, "odd", list(ODD))
    if corpus is not None:
        stack.command("import", str(corpus))
    stack.wait()
    node = node_of(deployment, stack.client.turns[0])
    stack.command("replay", node, "--temperature", "0.2", "--temperature", "1.1", "--samples", "2")
    stack.command("replay", node, "--system", "Answer in one short sentence.")
    for command in (
        ("lineage", "build"),
        ("evaluate", "units"),
        ("evaluate", "pairs"),
        ("evaluate", "embed"),
        ("clusters", "refit"),
        ("categories", "list"),
        ("categories", "clusters"),
        ("pivots",),
        ("judges", "init", JUDGE, "--task", "preference", "--model", "judge"),
        ("judges", "run", JUDGE, "--judged", "-n", "0", "--concurrency", "8"),
        ("judges", "calibrate"),
        ("queue", "fill"),
    ):
        stack.command(*command)
    frozen = [stack.command("dataset", "freeze", name) for name in ("demo-sft", str(recipe))]
    stack.client.call([system("You are brief."), user("Do you sell used bicycles?")], named("used", "sales"))
    stack.wait()
    stack.command("evaluate", "units")
    frozen.append(stack.command("dataset", "freeze", "demo-sft"))
    shown = stack.shown
    shown.node, shown.snapshots = node, [str(one["snapshot_id"]) for one in frozen]
    (row,) = deployment.ask("SELECT session_id FROM conversation_branch_nodes WHERE node_id = %(node)s", node=node)
    shown.session = str(row["session_id"])
    shown.plan = str(deployment.ask("SELECT plan_id FROM replay_plan ORDER BY created_at LIMIT 1")[0]["plan_id"])
    shown.cluster = str(stack.command("clusters", "list")["items"][0]["cluster_id"])


def review(stack: FilledStack, items: int = 6) -> None:
    """Two reviewers judge the first items of each kind; they agree on some of them."""
    for place, name in enumerate(REVIEWERS):
        for kind in ("pair", "unit"):
            for number in range(items):
                status, claimed = stack.web.ask("POST", "/api/review/claim", {"kind": kind}, stack.tokens[name])
                assert status == 200, claimed
                if not claimed["items"]:
                    break
                said: dict[str, Any] = {"seconds": 4.5 + number}
                if kind == "pair":
                    said["preference"] = "first" if number % 3 else ("second", "equal")[place]
                else:
                    said |= {"rating": 1 + (number + place) % 5, "categories": ["overlong"] if number == 1 else []}
                lease = claimed["items"][0]["lease_id"]
                status, done = stack.web.ask("POST", f"/api/review/leases/{lease}/submit", said, stack.tokens[name])
                assert status == 200, done


def _import_pairs(stack: FilledStack, theme: str, asked: list[tuple[str, str]]) -> None:
    """Two answers to each question, of which three annotators prefer the first, except for every ninth."""
    lines = []
    for number, (question, answer) in enumerate(asked):
        votes = {f"annotator{place}": 2 if number % 9 == 8 else 1 for place in (1, 2, 3)}
        other = "It depends on many things." + " Please ask again later." * (number % 4)
        texts = {"instruction": question, "input": "", "response1": answer, "response2": other}
        lines.append({"idx": number, **texts, **votes})
    file = stack.deployment.folder / f"{theme}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stack.command("import", str(file), "--theme", theme)


def node_of(deployment: Deployment, turn: UUID) -> str:
    """The node of a call."""
    (row,) = deployment.ask(
        "SELECT node_id FROM session_turn WHERE turn_id = %(turn)s ORDER BY choice_index LIMIT 1",
        turn=turn,
    )
    return str(row["node_id"])
