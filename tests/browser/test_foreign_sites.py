"""A hostile page in the same browser: it can neither read nor change anything, nor show the UI in a frame."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Response

from browser.conftest import Visit
from support.chromium import FOREIGN
from support.filled_stack import FilledStack
from support.foreign_site import ForeignSite
from support.page_guard import PageGuard
from support.settled import settle

ATTACK = """<!doctype html><title>A harmless page</title><body><script>
const api = "ORIGIN";
const within = (promise, ms) => Promise.race([promise, new Promise((done) => setTimeout(() => done("nothing"), ms))]);
const loads = (name, fields) => within(new Promise((done) => {
  const element = Object.assign(document.createElement(name), fields);
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  document.body.append(element);
}), 3000);
const send = (path, settings) => within(fetch(api + path, {credentials: "include", ...settings}).then(
  async (answer) => `${answer.type} ${(await answer.text()).length}`, () => "refused"), 5000);
const post = (path, type, body) => send(path, {method: "POST", mode: "no-cors", headers: {"Content-Type": type}, body});
async function attack() {
  const found = {};
  found.read = await send("/api/sessions", {});
  found.read_blind = await send("/api/sessions", {mode: "no-cors"});
  found.read_me = await send("/api/me", {});
  found.post_json = await send("/api/review/claim", {method: "POST", headers: {"Content-Type": "application/json",
    "X-Regraft-Csrf": "guess"}, body: '{"kind": "pair"}'});
  found.post_text = await post("/api/review/claim", "text/plain", '{"kind": "pair"}');
  found.script = await loads("script", {src: api + "/api/sessions"});
  found.image = await loads("img", {src: api + "/icon.svg"});
  found.style = await loads("link", {rel: "stylesheet", href: api + "/api/sessions"});
  found.events = await within(new Promise((done) => {
    const events = new EventSource(api + "/api/live", {withCredentials: true});
    events.onmessage = () => done("read");
    events.onopen = () => done("opened");
    events.onerror = () => { events.close(); done("refused"); };
  }), 3000);
  const frame = document.createElement("iframe");
  frame.src = api + "/";
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
  try { found.frame = frame.contentWindow.document.body ? "read" : "empty"; } catch { found.frame = "refused"; }
  for (const kind of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    const form = document.createElement("form");
    const target = Object.assign(document.createElement("iframe"), {name: kind});
    document.body.append(target);
    Object.assign(form, {method: "post", enctype: kind, action: api + "/api/review/claim", target: kind});
    const field = Object.assign(document.createElement("input"), {name: '{"kind": "pair", "x": "', value: '"}'});
    form.append(field);
    document.body.append(form);
    const answered = new Promise((done) => { target.onload = done; setTimeout(done, 5000); });
    form.submit();
    await answered;
  }
  const window_ = window.open(api + "/sessions");
  await new Promise((done) => setTimeout(done, 1000));
  try { found.popup = window_.document.title ? "read" : "empty"; } catch { found.popup = "refused"; }
  return found;
}
</script>"""
NOT_READ = {"refused", "nothing", "empty"}


@pytest.mark.parametrize("by", ["port", "name"])
def test_a_foreign_page_neither_reads_nor_changes_anything(
    visit: Visit, filled: FilledStack, guard: PageGuard, by: str
) -> None:
    page = visit("ann")
    page.goto("/")
    settle(page)
    guard.check()
    before = _changes(filled)
    with ForeignSite(ATTACK.replace("ORIGIN", filled.origin)) as site:
        guard.origins |= {site.by_port, site.by_name}
        guard.allow(r"^console error")  # each attempt that the browser stops is one
        answers: list[Response] = []
        attacker = page.context.new_page()
        attacker.on("response", lambda answer: answers.append(answer))
        attacker.goto(site.by_port if by == "port" else site.by_name)
        found: dict[str, Any] = attacker.evaluate("attack()")
        seen = [(one.request.method, one.url.removeprefix(filled.origin), one.status) for one in answers]
        guard.faults = [fault for fault in guard.faults if filled.origin not in fault]
    blind = found.pop("read_blind")
    assert blind in {"opaque 0", "refused"}
    assert found.pop("post_text") in {"opaque 0", "refused"}
    assert {name: said for name, said in found.items() if said not in NOT_READ} == {}
    written = [one for one in seen if one[0] not in ("GET", "OPTIONS") and not one[1].startswith("http")]
    assert written  # forms reach the server
    assert {status for _, _, status in written} <= {401, 403}
    assert {status for _, path, status in seen if path.startswith("/api/sessions")} <= {401, 403}
    assert _changes(filled) == before


def test_a_name_that_leads_to_this_machine_is_not_answered(visit: Visit, filled: FilledStack, guard: PageGuard) -> None:
    guard.origins.add(f"http://{FOREIGN}:{filled.web.port}")
    guard.allow(r"^console error: (Failed to load resource: .* 403|The Cross-Origin-Opener-Policy header)")
    page = visit("ann")
    for path in ("/", "/api/sessions", "/api/me", "/icon.svg"):
        answer = page.goto(f"http://{FOREIGN}:{filled.web.port}{path}")
        assert answer is not None
        assert answer.status == 403
        assert "does not accept the host name" in answer.text()


def test_a_page_from_disk_reads_nothing(visit: Visit, filled: FilledStack, guard: PageGuard, tmp_path: Any) -> None:
    guard.allow(r"^console error|^request to another origin: GET file:")
    file = tmp_path / "page.html"
    file.write_text(ATTACK.replace("ORIGIN", filled.origin))
    page: Page = visit("ann")
    page.goto(file.as_uri())
    assert page.evaluate("send('/api/sessions', {})") in NOT_READ
    assert page.evaluate("send('/api/me', {})") in NOT_READ


def _changes(stack: FilledStack) -> dict[str, int]:
    """What someone would have written."""
    query = "SELECT (SELECT count(*) FROM review_acts) AS acts, (SELECT count(*) FROM review_leases) AS leases"
    return dict(stack.deployment.ask(query)[0])
