"""Real servers, once a test worker: PostgreSQL with a migrated template database that every test clones, and NATS."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from hypothesis import settings

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect
from support.memory_folder import use_memory
from support.slow_files import slow_first

REPOSITORY = Path(__file__).parent.parent
_TEMPLATE = "regraft_template"
_PASSED = pytest.StashKey[bool]()

settings.register_profile("regraft", max_examples=40, deadline=None)  # a slow machine is not a failure
settings.load_profile("regraft")
_MEMORY = use_memory()  # before pytest names its own folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In parallel, slow files come first; one process runs them in the order of their names."""
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if workers > 1:
        items[:] = slow_first(items, workers)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What a failed run left in memory is kept until the next one; test workers leave it to the process above them."""
    session.config.stash[_PASSED] = exitstatus == pytest.ExitCode.OK


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back at the end of the process, after multiprocessing removed its own folder there."""
    if _MEMORY is not None and config.stash.get(_PASSED, False):
        Finalize(None, shutil.rmtree, args=(_MEMORY,), kwargs={"ignore_errors": True}, exitpriority=-200)


@pytest.fixture
def disk_folder() -> Iterator[Path]:
    """A folder on a real disk, for what a file system in memory cannot do."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="regraft-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A folder that the account of an embedded PostgreSQL can reach, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[PostgresEndpoint]:
    """One PostgreSQL for all tests of a worker, with a migrated database to clone."""
    server = EmbeddedPostgres(servers_dir / "data")
    endpoint = server.start()
    with psycopg.connect(endpoint.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
    with connect(endpoint.admin_dsn(_TEMPLATE), autocommit=True) as connection:
        migrate(connection)
    yield endpoint
    server.stop()


@pytest.fixture
def truth(postgres: PostgresEndpoint) -> Iterator[str]:
    """The DSN of a fresh, migrated database."""
    name = f"truth_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}".encode())
    yield postgres.admin_dsn(name)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def nats_url(servers_dir: Path) -> Iterator[str]:
    """One NATS server with JetStream for all tests of a worker."""
    server = EmbeddedNats(servers_dir / "data")
    yield server.start().url
    server.stop()


@pytest.fixture(scope="session")
def golden_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few conversations and our own calls, written by hand and packed as the recorded ones are."""
    folder = tmp_path_factory.mktemp("golden")
    for path in (REPOSITORY / "tests" / "golden" / "corpus").rglob("*.json*"):
        packed = folder / path.relative_to(REPOSITORY / "tests" / "golden" / "corpus")
        packed.parent.mkdir(exist_ok=True)
        if path.suffix == ".jsonl":
            packed.with_name(f"{path.name}.zst").write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
        else:
            packed.write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="session", params=["golden", pytest.param("recorded", marks=pytest.mark.corpus)])
def source(request: pytest.FixtureRequest) -> str:
    """Where conversations and calls come from: written for the tests, or recorded."""
    return str(request.param)


@pytest.fixture(scope="session")
def corpus(source: str, request: pytest.FixtureRequest) -> Path:
    """A test that asks for it runs on the golden data everywhere, and on the recorded conversations where they are."""
    folder: Path = request.getfixturevalue(f"{source}_corpus")
    return folder


@pytest.fixture(scope="session")
def recorded_corpus() -> Path:
    """The folder of recorded conversations, which is not part of the project: beside the checkout, or named."""
    folder = Path(os.environ.get("REGRAFT_CORPUS", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"the recorded conversations are not here: set REGRAFT_CORPUS (looked in {folder})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


class Calls:
    """Makes captured calls, a second apart: ``calls([message, ...], "answer", temperature=0.5)``.

    ``answer`` is the text or the whole message; ``choices`` are several of them; ``who`` are the X-Regraft headers.
    ``request`` and ``response`` are raw bodies instead, and ``circumstances`` any other field of an Exchange.
    """

    def __init__(self) -> None:
        self._made = 0

    def __call__(
        self,
        messages: list[Any] | None = None,
        answer: Any = "ok",
        *,
        choices: list[Any] | None = None,
        model: str = "m",
        who: dict[str, str] | None = None,
        request: bytes | None = None,
        response: bytes | None = None,
        circumstances: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Exchange:
        self._made += 1
        at_ms = 1_700_000_000_000 + self._made * 1000
        said = [answer] if choices is None else choices
        whole = [each if isinstance(each, dict) else {"role": "assistant", "content": each} for each in said]
        reply = {
            "id": f"chatcmpl-{self._made}",
            "model": model,
            "system_fingerprint": "fp",
            "choices": [{"index": n, "message": each, "finish_reason": "stop"} for n, each in enumerate(whole)],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        }
        asked = {"model": model, "messages": messages or [{"role": "user", "content": "hi"}], **settings}
        fields: dict[str, Any] = {
            "event_id": time_ordered_uuid(at_ms, self._made.to_bytes(10, "big")),
            "scope": "default",
            "endpoint": "/v1/chat/completions",
            "upstream": "main",
            "upstream_pin": "",
            "started_ns": at_ms * 1_000_000,
            "first_byte_ns": 1_000_000,
            "duration_ns": 5_000_000,
            "request_body": json.dumps(asked).encode() if request is None else request,
            "status": 200,
            "response_type": "application/json",
            "response_encoding": "",
            "response_body": json.dumps(reply).encode() if response is None else response,
            "identity": Identity(**who) if who else Identity(),
        }
        return Exchange(**{**fields, **(circumstances or {})})

    def failed(self, messages: list[Any] | None = None, status: int = 500, **more: Any) -> Exchange:
        """A call that the model server refused."""
        body = json.dumps({"error": {"message": "no", "code": status}}).encode()
        return self(messages, response=body, circumstances={"status": status}, **more)


@pytest.fixture
def calls() -> Calls:
    """A maker of captured calls."""
    return Calls()
