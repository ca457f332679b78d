"""Hostile texts are shown as text on every page: nothing is executed, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page

from browser.conftest import REPOSITORY, Visit, deployed_web
from regraft.infra.embedded.postgres import PostgresEndpoint
from support.filled_stack import FilledStack
from support.hostile_texts import fill_with_hostile_texts, naughty_strings
from support.page_addresses import address, patterns
from support.settled import failure, settle

_INSERTED = """() => [
  ...document.querySelectorAll("main :is(script, iframe, object, embed, style, base, meta, link, video, audio)"),
  ...document.querySelectorAll("main form[action]"),
  ...[...document.querySelectorAll("main *")].filter((each) =>
    [...each.attributes].some(({name}) => name.startsWith("on") || name === "srcdoc" || name === "srcset")),
  ...[...document.querySelectorAll("a[href]")].filter(({href}) => new URL(href).origin !== location.origin
    && !/^(data:image|blob:)/.test(href)),
  ...[...document.querySelectorAll("img, image")].filter((each) =>
    new URL(each.src ?? "", location.href).origin !== location.origin && !/^data:image/.test(each.src ?? "")),
].map((each) => each.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def hostile(
    postgres: PostgresEndpoint, filled: FilledStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilledStack]:
    """A deployment whose every text means ill. It is filled in a thread: Playwright has the event loop of this one."""
    more = naughty_strings(Path(os.environ.get("REGRAFT_CORPUS", REPOSITORY.parent / "shared" / "data")))
    with deployed_web(postgres, tmp_path_factory.mktemp("hostile")) as stack:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(fill_with_hostile_texts, stack, more).result()
        stack.web.start()
        yield stack


def test_hostile_texts_are_shown_as_text_on_every_page(visit: Visit, hostile: FilledStack, artefacts: Path) -> None:
    page = visit("admin", stack=hostile)
    faults: list[str] = []
    for pattern in patterns():
        page.goto(address(pattern, hostile))
        settle(page)
        faults += [f"{pattern}: {fault}" for fault in (*_inserted(page), failure(page)) if fault]
        name = pattern.strip("/").replace("/", "-").replace(":", "") or "start"
        page.screenshot(path=artefacts / f"hostile-{name}.png")
    assert not faults, "\n".join(faults)


def _inserted(page: Page) -> list[str]:
    """Elements that no code of ours makes, and what was run."""
    found: list[str] = page.evaluate(_INSERTED)
    if page.evaluate("() => window.pwned !== undefined"):
        found.append("a script of a message was run")
    return found
