"""``regraft orchestrate``: a prompt to an orchestrator, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from regraft.domain.errors import NotFoundError, UpstreamError, UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.lineage.sessions import Json

if TYPE_CHECKING:
    from regraft.infra.llm.client import Door

_STYLES = {"done": "green", "failed": "red", "blocked": "yellow", "cancelled": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Orchestration")(orchestrate)


def orchestrate(
    prompt: Annotated[str, typer.Argument(help="What is asked.", metavar="PROMPT")],
    name: Annotated[str | None, typer.Option("--with", help="The orchestrator; the first one if not given.")] = None,
    session: Annotated[str | None, typer.Option(help="Name of the session that the calls belong to.")] = None,
    json: Json = False,
) -> None:
    """Have a prompt planned, carried out by workers, and answered; say what became of each step."""
    from regraft.flows.capture.waiting import wait_until_stored
    from regraft.flows.lineage import build as lineage
    from regraft.flows.orchestration import taskify as flow
    from regraft.infra.embedded.model import MODEL
    from regraft.infra.files.orchestrators import orchestrators

    if not prompt.strip():
        raise UsageError("The prompt is empty.")
    run = context()
    known = orchestrators(run.settings, MODEL)
    if not known:
        raise UsageError("There is no orchestrator: add a section [orchestrators.NAME] to the settings.")
    chosen = name or next(iter(known))
    if chosen not in known:
        raise NotFoundError(f"There is no orchestrator {chosen}. There is: {', '.join(known)}.")
    dsn = run.postgres_dsn()
    run.stack.ingest()
    gateway = run.stack.door()
    said = _ask(gateway, chosen, prompt, session, lambda piece: None if json else _write(piece))
    wait_until_stored(dsn, [said["turn_id"]], run.stack.ingest)
    lineage.build(dsn)
    flow.collect(dsn)
    if json:
        run.print_json(said)
        return
    run.console.print()
    told = said["regraft"]
    run.console.print(f"plan {told['taskification_id']}: {told['plan']['status']}")
    for problem in told["plan"]["problems"]:
        run.console.print(Text(f"  {problem}", style="yellow"))
    run.console.print(_table(told["steps"]))


def _ask(gateway: Door, name: str, prompt: str, session: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """The streamed answer, said as it comes. Raises UpstreamError."""
    import openai

    from regraft.infra.llm.client import KeyRefusedError, key_refused, refuses_key

    url = f"{gateway.url}/v1"
    headers = {"X-Regraft-Session": session} if session else {}
    pieces: list[str] = []
    told: dict[str, Any] = {}
    usage: Any = None
    turn = ""
    try:
        with openai.OpenAI(base_url=url, api_key=gateway.key or "none", max_retries=0, timeout=3600.0) as client:
            stream = client.chat.completions.create(
                model=f"orchestrator/{name}",
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=headers,
            )
            for chunk in stream:
                turn = chunk.id.removeprefix("chatcmpl-")
                usage = chunk.usage or usage
                told = (chunk.model_extra or {}).get("regraft") or told
                for choice in chunk.choices:
                    if choice.delta.content:
                        pieces.append(choice.delta.content)
                        say(choice.delta.content)
    except openai.OpenAIError as error:
        if isinstance(error, openai.AuthenticationError) and refuses_key(error.response.content):
            raise KeyRefusedError(key_refused(gateway)) from error
        raise UpstreamError(f"The orchestrator gave no answer: {error}") from error
    return {
        "turn_id": UUID(turn),
        "answer": "".join(pieces),
        "usage": usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) if usage else None,
        "regraft": told,
    }


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


def _table(steps: list[dict[str, Any]]) -> Table:
    table = Table("step", "worker", "model", "status", "calls", "tools", "s", "why", box=None)
    for each in steps:
        table.add_row(
            Text(each["id"]),
            Text(each["worker"]),
            Text(each["model"]),
            Text(each["status"], style=_STYLES.get(each["status"], "")),
            str(each["attempts"]),
            str(each["tool_calls"]),
            f"{each['seconds']:.1f}",
            Text(each["error"] or ""),
        )
    return table
