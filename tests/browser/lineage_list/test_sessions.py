"""The list of sessions in Chromium: filtered, sorted, searched, by keyboard, kept in the address, exported."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.filled_stack import FilledStack
from support.settled import settle


def opened(visit: Visit, path: str = "/sessions", role: str = "admin", width: int = 1280) -> Page:
    page = visit(role, viewport={"width": width, "height": 800})
    page.goto(path)
    settle(page)
    return page


def rows(page: Page) -> int:
    return page.locator("main tr[data-index]").count()


def test_a_facet_narrows_the_list_down_and_the_back_button_widens_it(visit: Visit) -> None:
    page = opened(visit)
    weather = page.get_by_role("checkbox", name="weather")
    weather.check()
    expect(page).to_have_url(re.compile(r"theme=weather"))
    expect(page.get_by_text(re.compile(r"^16 sessions of"))).to_be_visible()
    expect(page.locator("main tr[data-index]")).to_have_count(16)
    page.get_by_role("checkbox", name="cards").check()
    expect(page.get_by_text(re.compile(r"^32 sessions of"))).to_be_visible()
    page.get_by_role("button", name="theme: cards").click()
    expect(page.locator("main tr[data-index]")).to_have_count(16)
    for _ in range(3):
        page.go_back()
    expect(weather).not_to_be_checked()
    expect(page.locator("main tr[data-index]").nth(16)).to_be_attached()  # of those that there is room for


def test_a_link_shows_the_same_list_to_another_reader(visit: Visit) -> None:
    page = opened(visit, "/sessions?theme=weather&sort=turns&q=snow", "viewer")
    expect(page.get_by_role("searchbox")).to_have_value("snow")
    expect(page.get_by_role("button", name="theme: weather")).to_be_visible()
    assert 0 < rows(page) < 16
    assert page.locator("th[aria-sort=ascending]").inner_text() == "Turns"


def test_words_are_searched_while_they_are_typed(visit: Visit) -> None:
    page = opened(visit)
    page.keyboard.press("/")
    page.keyboard.type("thunderstorm")
    expect(page).to_have_url(re.compile(r"q=thunderstorm"))
    expect(page.locator("main tr[data-index]").first).to_contain_text("thunderstorm")
    page.get_by_role("searchbox").fill("no such word anywhere")
    expect(page.get_by_role("heading", name="No matching sessions")).to_be_visible()
    page.get_by_role("button", name="Remove all filters").click()
    expect(page.locator("main tr[data-index]").first).to_be_visible()


def test_a_column_sorts_both_ways(visit: Visit) -> None:
    page = opened(visit)
    page.get_by_role("button", name="Turns").click()
    expect(page).to_have_url(re.compile(r"sort=-turns"))
    settle(page)
    longest = page.locator("main tr[data-index='0'] td").nth(2).inner_text()
    page.get_by_role("button", name="Turns").click()
    expect(page).to_have_url(re.compile(r"sort=turns"))
    settle(page)
    assert int(page.locator("main tr[data-index='0'] td").nth(2).inner_text()) < int(longest)


def test_keys_walk_the_list_and_open_a_session(visit: Visit) -> None:
    page = opened(visit)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr[data-index='1']")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/sessions/[0-9a-f-]{36}"))


def test_columns_are_chosen_and_stay_in_the_address(visit: Visit) -> None:
    page = opened(visit)
    page.get_by_text("Columns").first.click()
    page.get_by_role("checkbox", name="Id", exact=True).check()
    expect(page.get_by_role("columnheader", name="Id", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"columns=.*id"))


def test_a_thousand_sessions_scroll_without_a_gap(visit: Visit, filled: FilledStack, calls: object) -> None:
    seen = SeenIds()
    made = [
        calls([{"role": "user", "content": f"numbered {n}"}], who={"session": f"n{n:04}", "theme": "numbered"})  # type: ignore[operator]
        for n in range(1_000)
    ]
    with connect(filled.deployment.dsn, autocommit=True) as connection:
        ingest(connection, [encode_exchange(one) for one in made], seen)
    lineage.build(filled.deployment.dsn)
    page = opened(visit, "/sessions?theme=numbered&sort=started")
    found: set[str] = set()
    box = page.locator("section[aria-label=Sessions]")
    for _ in range(200):
        found.update(re.findall(r"numbered \d+", " ".join(page.locator("main tr[data-index]").all_inner_texts())))
        if len(found) == 1_000:
            break
        box.evaluate("element => element.scrollBy(0, 500)")
        page.wait_for_timeout(60)
    assert len(found) == 1_000


def test_the_whole_list_is_saved_as_a_file(visit: Visit, tmp_path: Path) -> None:
    page = opened(visit, "/sessions?theme=weather")
    for form in ("CSV", "JSONL"):
        with page.expect_download() as download:
            page.get_by_role("link", name=form, exact=True).click()
        download.value.save_as(tmp_path / form)
    assert len(list(csv.DictReader((tmp_path / "CSV").read_text().splitlines()))) == 16
    lines = (tmp_path / "JSONL").read_text().splitlines()
    assert {json.loads(line)["theme"] for line in lines} == {"weather"}


def test_on_a_phone_the_facets_are_in_a_sheet(visit: Visit) -> None:
    page = opened(visit, width=360)
    expect(page.get_by_role("checkbox", name="weather")).to_have_count(0)
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("checkbox", name="weather").check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="theme: weather")).to_be_visible()


def test_anything_is_opened_by_a_few_letters(visit: Visit, filled: FilledStack) -> None:
    page = opened(visit)
    page.keyboard.press("Control+k")
    page.keyboard.type("piv")
    expect(page.get_by_role("option").first).to_contain_text("Pivots")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/pivots$"))
    page.keyboard.press("Control+k")
    page.keyboard.type(filled.shown.session[:8])
    page.keyboard.press("Enter")  # before the server said what exists
    expect(page).to_have_url(re.compile(rf"/sessions/{filled.shown.session}"))


def test_an_admin_renames_a_theme_and_a_viewer_may_not(visit: Visit, filled: FilledStack) -> None:
    viewer = opened(visit, "/themes", "viewer")
    expect(viewer.get_by_role("link", name="odd")).to_be_visible()
    expect(viewer.get_by_role("button", name="Change odd")).to_have_count(0)
    page = opened(visit, "/themes")
    page.get_by_role("button", name="Change odd").click()
    page.get_by_label("Name").fill("cards")
    expect(page.get_by_role("button", name="Merge into cards")).to_be_visible()
    page.get_by_label("Name").fill("strange")
    page.get_by_label("About").fill("what fits nowhere")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="strange")).to_be_visible()
    expect(page.get_by_text("what fits nowhere")).to_be_visible()
