"""The command line, as a person meets it: clear lines and exit codes for every mistake, never a traceback."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from regraft.domain.capture.exchange import Exchange
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.gateways import free_port
from support.regraft_command import clean_environment, regraft_command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def regraft(truth: str, nats_url: str, tmp_path: Path) -> Run:
    """Run a command in an empty folder, on a fresh truth."""
    base = {
        **clean_environment(),
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": nats_url,
        **{f"REGRAFT_{name}__PORT": str(free_port()) for name in ("GATEWAY", "WEB", "DAGSTER")},
    }

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return regraft_command(*arguments, cwd=tmp_path, environment={**base, **variables})

    return run


def fails(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One clear line on standard error, this exit code, and no traceback."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", ["tree", "show", "path", "replay"])
def test_an_id_that_is_none_is_said_to_be_none(regraft: Run, command: str) -> None:
    fails(regraft(command, "not an id"), 2, "not an id")


def test_a_replay_of_nodes_that_there_are_not_says_so(regraft: Run) -> None:
    for more in ((), ("--dry-run",)):
        done = regraft("replay", "--theme", "nowhere", *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "No node meets all of these conditions."


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--outcome-below", "nan"), "finite number"),
        (("--temperature", "inf"), "temperature is a finite number"),
        (("--budget-tokens", "-1", "--dry-run"), "does not allow a single job"),
        (("--budget-money", "nan"), "does not allow a single job"),
        (("--system", "@missing.txt"), "cannot be read: No such file or directory."),
    ],
)
def test_a_replay_refuses_figures_and_files_that_mean_nothing(
    regraft: Run, arguments: tuple[str, ...], word: str
) -> None:
    fails(regraft("replay", "--theme", "t", *arguments), 2, word)


@pytest.mark.parametrize("command", ["show", "path", "replay"])
def test_an_unknown_node_is_not_found(regraft: Run, command: str) -> None:
    fails(regraft(command, "0123456789ab"), 3, "0123456789ab")


def test_a_wrong_key_in_the_config_names_the_nearest_known_one(regraft: Run, tmp_path: Path) -> None:
    (tmp_path / "regraft.toml").write_text("[gateway]\nprot = 1\n")
    fails(regraft("status"), 2, "regraft.toml", "gateway.prot", "gateway.port")


def test_a_wrong_variable_names_the_nearest_known_one(regraft: Run) -> None:
    fails(regraft("status", REGRAFT_GATWAY__PORT="1"), 2, "REGRAFT_GATWAY__PORT", "REGRAFT_GATEWAY__PORT")


def test_a_config_file_that_is_no_toml_says_where(regraft: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("x = [")
    fails(regraft("--config", "bad.toml", "status"), 2, "bad.toml", "TOML")


def test_a_config_file_that_is_not_there_is_said(regraft: Run) -> None:
    fails(regraft("--config", "none.toml", "status"), 2, "none.toml")


def test_a_value_of_the_wrong_type_names_the_setting(regraft: Run) -> None:
    fails(regraft("status", REGRAFT_GATEWAY__PORT="many"), 2, "gateway.port")


def test_an_upstream_whose_key_is_not_set_is_said_before_anything_listens(regraft: Run, tmp_path: Path) -> None:
    text = '[upstreams.hosted]\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "NO_SUCH_KEY"\n'
    (tmp_path / "regraft.toml").write_text(text)
    fails(regraft("gateway"), 2, "NO_SUCH_KEY")


def test_a_full_port_names_the_setting_that_moves_it(regraft: Run, tmp_path: Path) -> None:
    (tmp_path / "regraft.toml").write_text('[upstreams.any]\nbase_url = "http://127.0.0.1:9/v1"\n')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        fails(regraft("gateway", REGRAFT_GATEWAY__PORT=port), 5, port, "gateway.port")
        fails(regraft("web", REGRAFT_WEB__PORT=port), 5, port, "web.port")


def test_a_postgresql_that_is_away_says_what_to_do(regraft: Run) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    fails(regraft("sessions", REGRAFT_POSTGRES__DSN=away), 5, "PostgreSQL", "regraft up")


def test_an_unknown_command_shows_the_usage(regraft: Run) -> None:
    done = regraft("replant")
    assert done.returncode == 2
    assert "No such command 'replant'" in done.stderr


def test_a_recipe_that_is_not_there_is_not_found(regraft: Run) -> None:
    fails(regraft("dataset", "freeze", "none.toml"), 3, "none.toml")


def test_an_empty_truth_lists_nothing_and_says_how_to_begin(regraft: Run) -> None:
    done = regraft("sessions")
    assert done.returncode == 0
    assert "regraft demo" in done.stdout
    assert json.loads(regraft("sessions", "--json").stdout) == []


def test_doctor_finds_a_taken_port_and_says_how_to_mend_it(regraft: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = regraft("doctor", "--json", REGRAFT_GATEWAY__PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    wrong = [finding for finding in json.loads(done.stdout) if finding["level"] == "wrong"]
    assert len(wrong) == 1
    assert "gateway.port" in wrong[0]["mend"]


def test_doctor_warns_of_a_model_server_that_nobody_answers_at(regraft: Run, tmp_path: Path) -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        ports = {"alive": there.getsockname()[1], "dead": free_port()}
        sections = (f'[upstreams.{name}]\nbase_url = "http://127.0.0.1:{port}/v1"\n' for name, port in ports.items())
        (tmp_path / "regraft.toml").write_text("".join(sections))
        done = regraft("doctor", "--json")
    levels = {
        finding["what"].split()[1]: finding["level"]
        for finding in json.loads(done.stdout)
        if finding["what"].startswith("upstream ")
    }
    assert levels == {"alive": "ok", "dead": "warning"}


def test_doctor_says_what_embeds_conversations_and_how_they_are_searched(regraft: Run, truth: str) -> None:
    def found(**variables: str) -> str:
        return "; ".join(each["what"] for each in json.loads(regraft("doctor", "--json", **variables).stdout))

    with psycopg.connect(truth) as connection:
        offered = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchone()
    shown = found()
    assert "conversations are embedded by all-minilm-l6-v2-int8@" in shown
    assert f"similar conversations are searched {'by pgvector' if offered else 'exactly, in the workbench'}" in shown
    assert "conversations are embedded by wordllama-" in found(REGRAFT_EMBEDDING__MODEL="static")


def test_similar_conversations_are_shown_with_their_question(
    regraft: Run, truth: str, calls: Callable[..., Exchange]
) -> None:
    exchanges = [calls([{"role": "user", "content": f"How do I bake {what}?"}], "Slowly.") for what in ("bread", "rye")]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
    lineage.build(truth)
    with connect(truth) as connection:
        asked = {"turn": exchanges[0].event_id}
        row = connection.execute("SELECT node_id FROM session_turn WHERE turn_id = %(turn)s", asked).fetchone()
    assert row is not None
    found = json.loads(regraft("similar", str(row["node_id"]), "--json").stdout)
    assert [each["asked"] for each in found["items"]] == ["How do I bake rye?"]
    assert 0.5 < found["items"][0]["similarity"] <= 1
    assert "How do I bake rye?" in regraft("similar", str(row["node_id"])).stdout
    fails(regraft("similar", "123456"), 3, "no node")


def test_doctor_tries_what_the_configuration_names(regraft: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "regraft.toml").write_text(
        f'warehouse = "{tmp_path}/file/frozen"\n[tools.notes]\ncommand = "no-such-program"\n'
        '[tools.far]\nurl = "http://127.0.0.1:9/mcp"\napi_key_env = "FAR_KEY"\n'
    )
    done = regraft("doctor", "--json", REGRAFT_NATS__URL=f"nats://127.0.0.1:{free_port()}")
    found = {each["what"]: each["level"] for each in json.loads(done.stdout)}
    assert f"the settings of {tmp_path}/regraft.toml" in found
    for words in (f"The warehouse {tmp_path}/file/frozen cannot be", "no program no-such-program", "FAR_KEY", "NATS"):
        assert [level for what, level in found.items() if words in what] == ["wrong"], words
    assert done.returncode == 1
    healthy = regraft("doctor", "--json", REGRAFT_WAREHOUSE=str(tmp_path), REGRAFT_CONFIG="/dev/null")
    assert f"snapshots can be written and read in {tmp_path}" in healthy.stdout
    assert "the stream of nats.url answers" in healthy.stdout
    assert [path.name for path in tmp_path.glob(".probe*")] == []


def test_help_of_every_command_imports_nothing_heavy() -> None:
    heavy = ("dagster", "duckdb", "pyiceberg", "pyarrow", "openai", "xllamacpp", "sqlalchemy")
    script = f"import sys; import regraft.presentation.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_doctor_knows_a_call_that_waits_from_one_that_cannot_be_read(regraft: Run, truth: str) -> None:
    def found() -> dict[str, str]:
        return {each["what"]: each["level"] for each in json.loads(regraft("doctor", "--json").stdout)}

    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO quarantine (event_id, reason, event, waits_for, next_try_at)"
            " VALUES (gen_random_uuid(), 'waiting:parent x', '', 'turn:x', now())"
        )
        waiting = found()
        assert waiting["1 captured calls wait for the call that they continue"] == "ok"
        assert not any("could not be read" in what for what in waiting)
        connection.execute("UPDATE quarantine SET waits_for = NULL, next_try_at = NULL")
    unread = found()
    assert unread["1 captured calls could not be read."] == "warning"
    assert not any("wait for the call" in what for what in unread)


def test_a_very_long_message_is_cut_for_display_and_whole_as_json(regraft: Run, truth: str, calls) -> None:
    long = f"begin {'word ' * 200_000} end"
    exchange = calls([{"role": "user", "content": long}], "short")
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(exchange)], SeenIds())
    lineage.build(truth)
    with psycopg.connect(truth) as connection:
        (node,) = connection.execute("SELECT node_id::text FROM session_turn").fetchone() or ()
    shown = regraft("show", node)
    assert shown.returncode == 0
    assert "begin" in shown.stdout
    assert "end" in shown.stdout
    assert "characters; --json prints them all" in shown.stdout
    assert len(shown.stdout) < 60_000
    assert json.loads(regraft("show", node, "--json").stdout)["history"][0]["content"] == long


def test_an_interrupt_stops_a_command_that_a_shell_started_in_the_background(tmp_path: Path) -> None:
    """A shell has its background jobs ignore SIGINT."""
    port = free_port()
    config = tmp_path / "regraft.toml"
    config.write_text(f'data_dir = "data"\n[gateway]\nport = {port}\n')
    command = f"exec {sys.executable} -m regraft gateway"
    process = subprocess.Popen(["sh", "-c", f"trap '' INT; {command}"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _listens(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert (tmp_path / "data" / "spool").stat().st_mode & 0o777 == 0o700
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_lists_are_sorted_either_way_and_cut_after_that(
    regraft: Run, truth: str, calls: Callable[..., Exchange]
) -> None:
    talk = [{"role": "user", "content": "Hello"}]
    longer = [*talk, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "More"}]
    who = {"session": "long"}
    exchanges = [
        calls(talk, "Yes?", who=who),
        calls(longer, "No.", who=who),
        calls(talk, "Hm.", who={"session": "short"}),
    ]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
    lineage.build(truth)

    def names(*more: str) -> list[str]:
        return [row["external_id"] for row in json.loads(regraft("sessions", "--json", *more).stdout)]

    assert names("--sort", "turns") == ["long", "short"]
    assert names("--sort", "turns", "--reverse", "-n", "1") == ["short"]
    assert names("-n", "0", "--sort", "outcome") == []
    done = regraft("sessions", "--sort", "colour")
    assert done.returncode == 2
    assert "colour" in done.stderr


def test_a_node_in_place_of_a_session_is_said_to_be_one(
    regraft: Run, truth: str, calls: Callable[..., Exchange]
) -> None:
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(calls([{"role": "user", "content": "Hello"}], "Yes?"))], SeenIds())
        lineage.build(truth)
        row = connection.execute("SELECT node_id FROM session_turn").fetchone()
    assert row is not None
    node = str(row["node_id"])[:13]
    fails(regraft("tree", node), 3, f"There is no session {node}. It is a node: `regraft show {node}`.")
    fails(regraft("show", "0123456789ab"), 3, "`regraft tree SESSION`")
