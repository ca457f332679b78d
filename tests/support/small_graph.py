"""A small conversation graph, put into a migrated database row by row: every branch kind, errors, tools, two themes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Json, Jsonb

from regraft.domain.ids import canonical_json, digest, digest_json, uuid_of
from regraft.infra.postgres.pool import Connection

START = datetime(2026, 1, 1, tzinfo=UTC)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
READ = {
    "type": "function",
    "function": {
        "name": "read",
        "description": "Read a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}}},
    },
}


def say(role: str, content: str | None, **more: Any) -> dict[str, Any]:
    """A message."""
    return {"role": role, "content": content, **more}


def call(identity: str, name: str, arguments: str) -> dict[str, Any]:
    """An answer that calls a function."""
    function = {"name": name, "arguments": arguments}
    return say("assistant", None, tool_calls=[{"id": identity, "type": "function", "function": function}])


@dataclass(frozen=True, slots=True)
class Turn:
    """What was inserted for one call."""

    node_id: UUID
    turn_id: UUID
    history: list[dict[str, Any]]
    answer: dict[str, Any] | None


@dataclass(slots=True)
class SmallGraph:
    """Inserts; each session's rows carry the build that it was last touched by."""

    connection: Connection
    build: int = 1
    clock: int = 0
    themes: dict[str, UUID] = field(default_factory=dict)

    def put(self, table: str, **values: Any) -> None:
        """One row, or none when it is there."""
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        conflict = "" if table == "response_branch_records" else " ON CONFLICT DO NOTHING"
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places}){conflict}".encode(), values)

    def message(self, body: dict[str, Any]) -> bytes:
        """A message's id."""
        identity = digest_json(body)
        self.put("message", message_id=identity, role=body["role"], body=Json(body, dumps=canonical_json))
        return identity

    def context(self, history: list[dict[str, Any]]) -> bytes:
        """A history's id."""
        parent: bytes | None = None
        for depth, body in enumerate(history, 1):
            message = self.message(body)
            identity = digest(b"context", parent or b"", message)
            self.put(
                "context",
                context_id=identity,
                parent_id=parent,
                message_id=message,
                depth=depth,
                projection_id=digest(b"projection", identity),
            )
            parent = identity
        assert parent is not None
        return parent

    def session(self, name: str, theme: str = "") -> UUID:
        """A session with its root."""
        identity = uuid_of(digest(b"session", name.encode()))
        root = uuid_of(digest(b"root", name.encode()))
        if theme and theme not in self.themes:
            self.themes[theme] = uuid_of(digest(b"theme", theme.encode()))
            self.put("seed_themes", theme_id=self.themes[theme], name=theme, scope="test", created_at=START)
        self.put("session", session_id=identity, scope="test", external_id=name, evidence="explicit_header")
        self.put(
            "conversation_branch_nodes",
            node_id=root,
            session_id=identity,
            parent_node_id=None,
            turn_id=None,
            depth=0,
            turn_index=0,
            branch_kind="root",
            branch_reason="the empty history",
            variant_config=Jsonb({}),
            node_status="ok",
            context_snapshot_id=b"",
            parent_evidence="root",
            runs=0,
        )
        self.put(
            "conversation_sessions",
            session_id=identity,
            scope="test",
            external_id=name,
            theme_id=self.themes.get(theme),
            root_node_id=root,
            turns=0,
            nodes=1,
            started_at=START,
            last_turn_at=START,
            build=self.build,
        )
        return identity

    def turn(
        self,
        session: UUID,
        history: list[dict[str, Any]],
        answer: dict[str, Any] | None,
        *,
        parent: Turn | None = None,
        anchor: Turn | None = None,
        kind: str = "continuation",
        model: str = "small",
        tools: list[dict[str, Any]] | None = None,
        status: str = "ok",
        finish: str | None = "stop",
        task: str | None = None,
        purpose: str = "chat",
    ) -> Turn:
        """One captured call, placed in the tree."""
        self.clock += 1
        at = START + timedelta(seconds=self.clock)
        context, answer_id = self.context(history), self.message(answer) if answer else None
        offered = {"tools": tools} if tools else {}
        tools_id = digest_json(offered)
        self.put("request_part", part_id=tools_id, kind="tools", body=Json(offered, dumps=canonical_json))
        key = f"{session} {self.clock}".encode()
        event, turn_id, node = (uuid_of(digest(what, key)) for what in (b"event", b"turn", b"node"))
        projection = digest(b"after", context, answer_id or key)
        sampling = digest(b"sampling")
        self.put("request_part", part_id=sampling, kind="sampling", body=Json({}))
        self.put(
            "pipeline_event_inbox",
            event_id=event,
            scope="test",
            endpoint="/v1/chat/completions",
            upstream="test",
            upstream_pin="",
            purpose=purpose,
            started_at=at,
            duration_ms=1000.0,
            first_byte_ms=100.0,
            http_status=500 if status == "error" else 200,
            streamed=False,
            cut="",
            context_id=context,
            tools_id=tools_id,
            sampling_id=sampling,
            answer_rest=Json({}),
            identity=Json({}),
            projection_version=1,
            gateway_version="test",
        )
        self.put(
            "session_turn",
            turn_id=turn_id,
            event_id=event,
            choice_index=0,
            session_id=session,
            context_id=context,
            context_projection=digest(b"projection", context),
            context_depth=len(history),
            answer_id=answer_id,
            answer_projection=projection,
            node_id=node,
            node_status=status,
            finish_reason=finish,
            tool_calls=len((answer or {}).get("tool_calls") or []),
            started_at=at,
            purpose=purpose,
            system_digest=b"",
            user_digest=b"",
        )
        parent_node = parent.node_id if parent else self._one("conversation_sessions", session, "root_node_id")
        depth = self._depth(parent_node) + 1
        self.put(
            "conversation_branch_nodes",
            node_id=node,
            session_id=session,
            parent_node_id=parent_node,
            turn_id=turn_id,
            depth=depth,
            turn_index=depth,
            branch_kind=kind,
            branch_reason=kind,
            variant_config=Jsonb({}),
            node_status=status,
            context_snapshot_id=context,
            parent_evidence="prefix",
            runs=1,
        )
        self.put(
            "execution_run_records",
            run_id=turn_id,
            session_id=session,
            node_id=node,
            event_id=event,
            purpose=purpose,
            task_key=task,
            model=model,
            model_snapshot_id=model,
            backend="test",
            run_status=status,
            finish_reason=finish,
            answer_id=answer_id,
            prompt_tokens=10,
            completion_tokens=5,
            duration_ms=1000.0,
            sampling=Json({}),
            tools_id=tools_id,
            tool_calls=len((answer or {}).get("tool_calls") or []),
            started_at=at,
        )
        anchor_turn = anchor.turn_id if anchor else turn_id
        count = self.connection.execute(
            "SELECT count(*) AS n FROM response_branch_records WHERE context_anchor_turn_id = %s", (anchor_turn,)
        ).fetchone()
        assert count is not None
        self.put(
            "response_branch_records",
            turn_id=turn_id,
            session_id=session,
            node_id=node,
            parent_node_id=parent_node,
            context_anchor_turn_id=anchor_turn,
            branch_index=count["n"],
            branch_kind=kind,
            variant_config=Jsonb({}),
            same_context=anchor is None or anchor.history == history,
            same_tools=kind != "tool_variant",
            is_replay=anchor is not None,
        )
        self.connection.execute(
            "UPDATE conversation_sessions SET build = %s, turns = turns + 1 WHERE session_id = %s",
            (self.build, session),
        )
        return Turn(node, turn_id, history, answer)

    def _one(self, table: str, session: UUID, column: str) -> UUID:
        row = self.connection.execute(
            f"SELECT {column} AS found FROM {table} WHERE session_id = %s".encode(), (session,)
        ).fetchone()
        assert row is not None
        return UUID(str(row["found"]))

    def _depth(self, node: UUID) -> int:
        row = self.connection.execute(
            "SELECT depth FROM conversation_branch_nodes WHERE node_id = %s", (node,)
        ).fetchone()
        assert row is not None
        return int(row["depth"])


def every_kind(graph: SmallGraph) -> dict[str, Turn]:
    """A session with a branch of every kind under one anchor, and a conversation with tools of two turns."""
    ask = [say("system", "Be brief."), say("user", "Name a red fruit.")]
    session = graph.session("fruit", "fruit")
    turns = {"first": graph.turn(session, ask, say("assistant", "An apple."))}
    first = turns["first"]
    turns["retry"] = graph.turn(session, ask, say("assistant", "A cherry."), anchor=first, kind="retry")
    turns["model"] = graph.turn(
        session,
        ask,
        say("assistant", " ".join(["red red red red"] * 20)),
        anchor=first,
        kind="model_variant",
        model="large",
        purpose="replay",
    )
    other = [say("system", "Be long."), ask[1]]
    turns["prompt"] = graph.turn(
        session, other, say("assistant", "A strawberry is red."), anchor=first, kind="prompt_variant"
    )
    turns["tool_1"] = graph.turn(
        session, ask, say("assistant", "A plum."), anchor=first, kind="tool_variant", tools=[WEATHER]
    )
    turns["tool_2"] = graph.turn(
        session, ask, call("c1", "weather", '{"city": "Rome"}'), anchor=first, kind="tool_variant", tools=[WEATHER]
    )
    turns["error"] = graph.turn(session, ask, None, anchor=first, kind="retry", status="error", finish=None)
    on = [*ask, say("assistant", "An apple."), say("user", "And a green one?")]
    turns["second"] = graph.turn(session, on, say("assistant", "A lime."), parent=first)

    session = graph.session("tools", "tools")
    ask = [say("user", "How is the weather in Oslo?")]
    turns["asked"] = graph.turn(
        session, ask, call("c1", "weather", '{"city":"Oslo"}'), tools=[WEATHER, READ], finish="tool_calls"
    )
    told = [*ask, call("c1", "weather", '{"city":"Oslo"}'), say("tool", "Error: no such city", tool_call_id="c1")]
    turns["again"] = graph.turn(
        session, told, call("c2", "read", '{"path":"oslo.txt","lines":3}'), parent=turns["asked"], tools=[WEATHER, READ]
    )
    read = [*told, call("c2", "read", '{"path":"oslo.txt","lines":3}'), say("tool", "snow", tool_call_id="c2")]
    turns["answered"] = graph.turn(
        session,
        read,
        say("assistant", "It snows.", refusal=None, reasoning_content="I read it."),
        parent=turns["again"],
        tools=[WEATHER, READ],
    )
    turns["worse"] = graph.turn(
        session,
        read,
        say("assistant", "I do not know, I do not know, I do not know, I do not know."),
        parent=turns["again"],
        anchor=turns["answered"],
        kind="retry",
        tools=[WEATHER, READ],
    )
    return turns


def many_choices(graph: SmallGraph, count: int) -> None:
    """Sessions that each hold one context with a good and a bad answer."""
    for number in range(count):
        session = graph.session(f"choice {number}", "choices")
        ask = [say("user", f"What is {number} plus one?")]
        good = graph.turn(session, ask, say("assistant", f"It is {number + 1}."))
        bad = say("assistant", f"maybe {number} or so " * 6)
        graph.turn(session, ask, bad, anchor=good, kind="sampling_variant", finish="length")
