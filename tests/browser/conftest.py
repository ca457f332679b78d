"""The real page before real servers: a filled deployment, an empty one, Chromium, and a guard that lets no fault pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.chromium import ARGUMENTS, HOW, find_chromium
from support.deployments import deployed
from support.filled_stack import CONFIG, REVIEWERS, FilledStack, fill, review
from support.gateways import free_port
from support.page_guard import PageGuard
from support.shop_model import ShopModel
from support.shop_talks import Client
from support.web_process import WebProcess

REPOSITORY = Path(__file__).parents[2]
ARTEFACTS = REPOSITORY / "build" / "browser"


def pytest_configure(config: pytest.Config) -> None:
    """What a failed test leaves behind, where the command line does not say otherwise."""
    if config.option.output == "test-results":
        config.option.output = str(ARTEFACTS / "failures")
    if config.option.screenshot == "off":
        config.option.screenshot = "only-on-failure"
    if config.option.tracing == "off":
        config.option.tracing = "retain-on-failure"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], filled: FilledStack) -> dict[str, Any]:
    """Debian's Chromium. The servers are started first: they need the event loop that Playwright then holds."""
    chromium = find_chromium()
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW)
        pytest.skip(HOW)
    return {**browser_type_launch_args, "executable_path": str(chromium), "args": list(ARGUMENTS)}


@pytest.fixture(scope="session")
def filled(
    postgres: PostgresEndpoint, servers_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilledStack]:
    """A deployment in which every page has something to show; tests may add to it."""
    folder = tmp_path_factory.mktemp("filled")
    port = free_port()
    with deployed(folder, postgres, CONFIG.format(port=port), ShopModel()) as deployment:
        web = WebProcess(folder, port)
        tokens = {name: deployment.told("web-token", "create", name, "--review")["token"] for name in REVIEWERS}
        tokens["viewer"] = deployment.told("web-token", "create", "vera")["token"]
        stack = FilledStack(deployment=deployment, web=web, client=Client(deployment.port), tokens=tokens)
        fill(stack)
        web.start()
        try:
            review(stack)
            yield stack
        finally:
            web.stop()
