"""The web UI with real servers: a filled deployment, an empty one, Chromium, and a guard that reports every fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.chromium import ARGUMENTS, HOW, find_chromium
from support.filled_stack import FilledStack, deployed_web, fill, review
from support.gateways import free_port
from support.page_guard import PageGuard
from support.web_process import WebProcess

REPOSITORY = Path(__file__).parents[2]
ARTEFACTS = REPOSITORY / "build" / "browser"
Visit = Callable[..., Page]


def pytest_configure(config: pytest.Config) -> None:
    """How long a page may take, and what a failed test leaves behind where the command line does not say otherwise."""
    expect.set_options(timeout=30_000)  # ms; Playwright's 5 s are too few beside other tests
    if config.option.output == "test-results":
        config.option.output = str(ARTEFACTS / "failures")
    if config.option.screenshot == "off":
        config.option.screenshot = "only-on-failure"
    if config.option.tracing == "off":
        config.option.tracing = "retain-on-failure"


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept."""
    folder = ARTEFACTS / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def built_page() -> None:
    """The page, built from the sources that are here now."""
    subprocess.run([sys.executable, str(REPOSITORY / "ui" / "build.py")], check=True, timeout=600)


@pytest.fixture(scope="session")
def filled(
    postgres: PostgresEndpoint, built_page: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilledStack]:
    """A deployment in which every page has something to show; tests may add to it."""
    with deployed_web(postgres, tmp_path_factory.mktemp("filled")) as stack:
        fill(stack)
        stack.web.start()
        review(stack)
        yield stack


@contextmanager
def bare_web(postgres: PostgresEndpoint, folder: Path) -> Iterator[WebProcess]:
    """A web process before a separate empty database, where no token is needed."""
    name, port = f"empty_{uuid.uuid4().hex[:12]}", free_port()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE regraft_template".encode())
    (folder / "regraft.toml").write_text(
        f"data_dir = {json.dumps(str(folder / 'data'))}\nweb.port = {port}\n"
        f"postgres.dsn = {json.dumps(postgres.admin_dsn(name))}\n"
    )
    web = WebProcess(folder, port)
    try:
        web.start()
        yield web
    finally:
        web.stop()
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def empty_web(
    postgres: PostgresEndpoint, built_page: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebProcess]:
    """The web process of a deployment in which nothing ever happened."""
    with bare_web(postgres, tmp_path_factory.mktemp("empty")) as web:
        yield web


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: a window is opened for one of several servers. (That of pytest-playwright 0.10 warns under pytest 9.)"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], filled: FilledStack) -> dict[str, Any]:
    """Debian's Chromium. The deployment comes first: it needs the event loop of this thread, which Playwright holds."""
    chromium = find_chromium()
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW)
        pytest.skip(HOW)
    return {**browser_type_launch_args, "executable_path": str(chromium), "args": list(ARGUMENTS)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """What is the same for every page: a language, a time zone, and nothing that moves."""
    fixed = {"locale": "en-GB", "timezone_id": "Europe/Paris", "reduced_motion": "reduce"}
    return {**browser_context_args, **fixed}


@pytest.fixture
def guard(filled: FilledStack) -> Iterator[PageGuard]:
    """Fails the test when a page of it reported an error, asked another origin, or ran what it must not."""
    watching = PageGuard(filled.origin)
    yield watching
    watching.check()


@pytest.fixture
def new_context(new_context: Callable[..., BrowserContext], guard: PageGuard) -> Callable[..., BrowserContext]:
    """Browser contexts that are watched."""

    def watched(**settings: Any) -> BrowserContext:
        context = new_context(**settings)
        guard.watch(context)
        return context

    return watched


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext], filled: FilledStack, guard: PageGuard) -> Visit:
    """Opens a window for someone, before the filled deployment or another one: ``visit("admin", viewport={...})``.

    ``web``: before this web process, where no token is needed. ``role`` may be empty: no one is signed in.
    """

    def window(
        role: str = "admin", *, stack: FilledStack = filled, web: WebProcess | None = None, **settings: Any
    ) -> Page:
        origin = (web or stack).origin
        guard.origins.add(origin)
        settings.setdefault("viewport", {"width": 1280, "height": 800})
        context = new_context(base_url=origin, **settings)
        if web is None and role:
            body, headers = {"token": stack.tokens[role]}, {"X-Regraft-Csrf": "sign-in", "Origin": origin}
            answer = context.request.post("/api/sign-in", data=body, headers=headers)
            assert answer.ok, answer.text()
        return context.new_page()

    return window
