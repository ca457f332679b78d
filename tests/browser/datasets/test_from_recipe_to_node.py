"""From a recipe to a frozen row and on to its node, in Chromium: what is previewed is frozen, and rows lead back."""

from __future__ import annotations

import re
from zipfile import ZipFile

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.accessibility import violations
from support.filled_stack import FilledStack


def rows_of_preview(page: Page) -> int:
    heading = page.get_by_role("heading", name=re.compile(r"rows? would be frozen"))
    expect(heading).to_be_visible(timeout=60_000)
    return int(heading.inner_text().split()[0].replace(",", ""))


def edit(page: Page, old: str, new: str) -> None:
    area = page.get_by_label("Recipe (TOML)")
    text = area.input_value()
    assert old in text
    area.fill(text.replace(old, new))


def test_a_recipe_is_previewed_frozen_verified_and_its_row_leads_to_its_node(visit: Visit, filled: FilledStack) -> None:
    page = visit("admin")
    page.goto("/datasets")
    page.get_by_role("link", name=re.compile("^demo-sft")).click()
    before = rows_of_preview(page)
    freeze = page.get_by_role("button", name="Freeze …")

    edit(page, "min_score = 0.45", "min_scor = 0.45")
    page.get_by_role("button", name="Line 8").click()
    expect(page.get_by_text("Did you mean source.min_score?")).to_be_visible()
    expect(freeze).to_be_disabled()
    selected = page.get_by_label("Recipe (TOML)").evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)")
    assert selected.startswith("min_scor = 0.45")

    edit(page, "min_scor = 0.45", "min_score = 0.45")
    edit(page, 'name = "demo-sft"', 'name = "from-page"')
    expect(freeze).to_be_enabled(timeout=60_000)
    assert rows_of_preview(page) == before
    page.get_by_role("list", name="Refused by reason").get_by_role("button").first.click()
    assert "reason=" in page.url
    example = page.locator("a[href*='/sessions/'][href*='node=']").first
    expect(example).to_be_visible()
    page.reload()
    expect(page.get_by_text("edited, not saved")).to_be_visible()  # the draft survives

    expect(freeze).to_be_enabled(timeout=60_000)
    freeze.click()
    dialog = page.get_by_role("dialog")
    assert violations(page) == []
    expect(dialog.get_by_text(f"This freezes {before:,} row")).to_be_visible()
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    page.wait_for_url("**/datasets/from-page-*", timeout=60_000)

    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("Verified.")).to_be_visible(timeout=60_000)
    page.get_by_role("tab", name=re.compile("^Rows")).click()
    table = page.get_by_role("region", name="Rows")
    first = table.locator("tr[data-index='0']")
    expect(first).to_be_visible()
    assert violations(page) == []
    asked = first.locator("td").first.inner_text()
    page.get_by_label("Search rows").fill(asked[:40])
    expect(page.get_by_text(re.compile(rf"rows? in [\d,]+ of {before:,}$"))).to_be_visible()
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rows/*")
    expect(page.get_by_text("learned", exact=True).nth(1)).to_be_visible()
    expect(page.get_by_role("heading", name="Why it is in the dataset")).to_be_visible()
    row_id = page.url.rpartition("/")[2]
    link = page.get_by_role("region", name="Where it came from").get_by_role("link").last
    node = (link.get_attribute("href") or "").partition("node=")[2]
    (held,) = filled.deployment.ask(
        "SELECT count(*) AS n FROM dataset_snapshot_nodes WHERE row_id = %(row)s AND node_id::text = %(node)s",
        row=row_id,
        node=node,
    )
    assert held["n"] >= 1
    link.click()
    page.wait_for_url(f"**/sessions/*?node={node}")


def test_two_snapshots_are_compared_and_one_is_exported(visit: Visit, filled: FilledStack) -> None:
    page = visit("admin")
    page.goto("/datasets")
    for snapshot in (filled.shown.snapshots[0], filled.shown.snapshots[2]):
        page.get_by_role("checkbox", name=f"Compare {snapshot}").check()
    page.get_by_role("button", name="Compare the two").click()
    page.get_by_role("tab", name=re.compile("^Only in the second")).click(timeout=60_000)
    row = page.get_by_role("tabpanel").locator("summary").first
    row.click()
    expect(page.get_by_role("link", name="The row in the second")).to_be_visible()
    page.goto(f"/datasets/{filled.shown.snapshots[1]}")
    page.get_by_role("button", name="Export …").click()
    page.get_by_role("radio", name=re.compile("^trl")).check()
    page.get_by_role("button", name="Make the files").click()
    with page.expect_download(timeout=60_000) as download:
        page.get_by_role("link", name=re.compile("^Download")).click()
    with ZipFile(download.value.path()) as packed:
        assert any(name.endswith("/train.jsonl") for name in packed.namelist())


def test_a_viewer_reads_everything_and_is_offered_nothing_else(visit: Visit, filled: FilledStack) -> None:
    page = visit("viewer")
    page.goto(f"/datasets/{filled.shown.snapshots[1]}")
    expect(page.get_by_role("heading", name="Certificate")).to_be_visible()
    for name in ("Export …", "Withdraw …"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto("/datasets/recipes/demo-sft")
    expect(page.get_by_text("A preview needs an admin")).to_be_visible()
    expect(page.get_by_role("button", name="Freeze …")).to_have_count(0)
