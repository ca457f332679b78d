"""The map in Chromium: moved, zoomed, selected by lasso and by keys, sent to review; a cluster's page; pivots."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.filled_stack import FilledStack
from support.settled import settle

_INK = """() => { const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const ground = data.slice(0, 3).join(); let ink = 0, sum = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data.slice(at, at + 3).join() !== ground) { ink++; sum = (sum + at) % 1000003; }
  return { ink, sum }; }"""


def opened(visit: Visit, path: str = "/map", role: str = "admin") -> Page:
    page = visit(role)
    page.goto(path)
    settle(page)
    expect(page.get_by_role("application")).to_be_visible()
    page.wait_for_timeout(200)
    return page


def test_points_are_drawn_and_move_and_the_view_is_in_the_address(visit: Visit) -> None:
    page = opened(visit)
    before = page.evaluate(_INK)
    assert before["ink"] > 500
    page.get_by_role("application").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"view="))
    after = page.evaluate(_INK)
    assert after != before
    page.reload()
    settle(page)
    page.wait_for_timeout(200)
    assert abs(page.evaluate(_INK)["ink"] - after["ink"]) < 0.05 * after["ink"]
    page.get_by_role("button", name="Show all").click()
    expect(page).not_to_have_url(re.compile(r"view="))


def test_a_cluster_is_selected_by_keys_and_sent_to_review(visit: Visit) -> None:
    page = opened(visit)
    first = page.get_by_role("region", name="Clusters").get_by_role("checkbox").first
    first.focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"clusters="))
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("paths selected")
    bar.get_by_role("button", name="Send to review").click()
    page.get_by_role("button", name=re.compile(r"^Send \d+ paths")).click()
    expect(page.get_by_role("status")).to_contain_text("new in the queue")


def test_a_lasso_selects_what_it_goes_around_and_stays_in_the_address(visit: Visit) -> None:
    page = opened(visit)
    page.get_by_role("button", name="Lasso").click()
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.05)]
    x, y = box["x"], box["y"]
    page.mouse.move(x + 0.02 * box["width"], y + 0.02 * box["height"])
    page.mouse.down()
    for right, down in corners:
        page.mouse.move(x + right * box["width"], y + down * box["height"], steps=6)
    page.mouse.up()
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_be_visible()
    said = bar.locator("strong").inner_text()
    assert int(said.split()[0]) > 50
    page.reload()
    settle(page)
    expect(bar.locator("strong")).to_have_text(said)
    bar.get_by_role("button", name="Open list").click()
    expect(page.get_by_role("region", name="Selected paths")).to_be_visible()
    page.keyboard.press("Escape")
    bar.get_by_role("button", name=re.compile("Replay")).click()
    expect(page).to_have_url(re.compile(r"/replay\?nodes=[0-9a-f-]{36}"))


def test_a_viewer_may_not_send_anything_to_review(visit: Visit) -> None:
    page = opened(visit, role="viewer")
    page.get_by_role("region", name="Clusters").get_by_role("checkbox").first.check()
    bar = page.get_by_role("region", name="Selection")
    expect(bar.get_by_role("button", name="Open list")).to_be_visible()
    expect(bar.get_by_role("button", name="Send to review")).to_have_count(0)


def test_colours_have_a_legend_with_shapes(visit: Visit) -> None:
    page = opened(visit)
    page.get_by_label("Colour").select_option("outcome")
    legend = page.get_by_role("list", name="Legend")
    expect(legend.get_by_role("listitem")).to_have_count(4)
    shapes = legend.locator("path").evaluate_all("paths => paths.map((path) => path.getAttribute('d'))")
    assert len(set(shapes)) == 4


def test_a_cluster_has_a_page_with_its_paths(visit: Visit, filled: FilledStack) -> None:
    page = visit("admin")
    page.goto(f"/clusters/{filled.shown.cluster}")
    settle(page)
    expect(page.get_by_role("heading", name="Typical paths")).to_be_visible()
    expect(page.get_by_role("heading", name="Nearest clusters")).to_be_visible()
    page.get_by_label("Order").select_option("worst")
    expect(page).to_have_url(re.compile("order=worst"))
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("Lost cards")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lost cards")
    page.get_by_role("link", name="Show on the map").click()
    expect(page.get_by_role("region", name="Selection")).to_contain_text("selected")


def test_a_pivot_is_one_click_from_its_replay(visit: Visit) -> None:
    page = visit("admin")
    page.goto("/pivots")
    settle(page)
    first = page.locator("article").first
    expect(first).to_contain_text("Best")
    expect(first).to_contain_text("Worst")
    first.get_by_role("link", name="Replay this").click()
    expect(page).to_have_url(re.compile(r"/replay\?nodes=[0-9a-f-]{36}$"))
