"""Take the pictures of the tour: real pages over the data of the demo, as small WebP files in docs/images.

    python docs/pictures.py [FOLDER] [--only tree review]

FOLDER holds the regraft.toml and the data of a demo that was run, see ``regraft demo``; without it one is run in a
temporary folder, which takes some minutes. Needs Chromium, and the tools of requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import base64
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
sys.path.insert(0, str(HERE.parent / "tests"))

from support.chromium import ARGUMENTS, find_chromium  # noqa: E402
from support.settled import settle  # noqa: E402
from support.web_process import WebProcess  # noqa: E402

SIZE = {"width": 1280, "height": 760}
LARGEST = 60_000  # bytes
EVALUATE = ("evaluate embed", "clusters refit", "categories list", "pivots", "queue fill")
_PACK = """async ([picture, quality]) => {
  const image = new Image();
  image.src = "data:image/png;base64," + picture;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", quality).split(",")[1];
}"""
Show = Callable[[Page, WebProcess, str], None]


def main() -> int:
    """Take them; 1 when one is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", nargs="*", choices=tuple(PICTURES), default=tuple(PICTURES))
    chosen = parser.parse_args()
    with _demo(chosen.folder) as (web, token):
        sizes = _take(web, token, chosen.only)
    for name, size in sizes.items():
        print(f"docs/images/{name}.webp {size / 1000:6.1f} kB")
    return int(max(sizes.values()) > LARGEST)


@contextmanager
def _demo(folder: Path | None) -> Iterator[tuple[WebProcess, str]]:
    """The web process of a demo, and a token that may do everything."""
    with tempfile.TemporaryDirectory(prefix="regraft-pictures-") as made:
        at = folder or Path(made)
        if folder is None:
            at.chmod(0o755)
            (at / "regraft.toml").write_text(f'data_dir = "data"\ngateway.port = {_port()}\nclusters.min_size = 2\n')
            for command in ("demo", *EVALUATE):
                print(f"==> regraft {command}", flush=True)
                run = [sys.executable, "-m", "regraft", *command.split()]
                subprocess.run(run, cwd=at, check=True, stdout=subprocess.DEVNULL)
        port, token = _port(), secrets.token_hex(16)
        web = WebProcess(at, port, {"REGRAFT_WEB__PORT": str(port), "REGRAFT_WEB__TOKEN": token})
        web.start()
        try:
            yield web, token
        finally:
            web.stop()


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _take(web: WebProcess, token: str, names: Iterable[str]) -> dict[str, int]:
    """By name the bytes of the file."""
    sizes: dict[str, int] = {}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS)) as browser,
        browser.new_context(base_url=web.origin, viewport=SIZE, color_scheme="light", locale="en-GB") as context,
    ):
        signed_in = context.request.post("/api/sign-in", data={"token": token}, headers={"X-Regraft-Csrf": "1"})
        assert signed_in.ok, signed_in.text()
        packer = browser.new_page()
        for name in names:
            page = context.new_page()
            PICTURES[name](page, web, token)
            settle(page)
            page.wait_for_timeout(500)
            picture = base64.b64encode(page.screenshot()).decode()
            file = IMAGES / f"{name}.webp"
            for quality in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
                file.write_bytes(base64.b64decode(packer.evaluate(_PACK, [picture, quality])))
                if file.stat().st_size <= LARGEST:
                    break
            sizes[name] = file.stat().st_size
            page.close()
    return sizes


def _get(web: WebProcess, token: str, path: str) -> Any:
    status, found = web.ask("GET", path, token=token)
    assert status == 200, (path, found)
    return found


def _sessions(page: Page, web: WebProcess, token: str) -> None:
    page.goto("/sessions")


def _replayed(web: WebProcess, token: str) -> tuple[str, str]:
    """The conversation with the most nodes, which was replayed, and its first answer."""
    sessions = _get(web, token, "/api/sessions")["sessions"]
    session = max(sessions, key=lambda one: one["nodes"])["session_id"]
    nodes = _get(web, token, f"/api/sessions/{session}/tree")["nodes"]
    return session, next(node["node_id"] for node in nodes if node["depth"] == 1)


def _tree(page: Page, web: WebProcess, token: str) -> None:
    session, node = _replayed(web, token)
    page.goto(f"/sessions/{session}?node={node}")


def _compare(page: Page, web: WebProcess, token: str) -> None:
    page.goto(f"/compare/{_replayed(web, token)[1]}")


def _map(page: Page, web: WebProcess, token: str) -> None:
    page.goto("/map")


def _review(page: Page, web: WebProcess, token: str) -> None:
    page.goto("/review")


def _dataset(page: Page, web: WebProcess, token: str) -> None:
    page.goto(f"/datasets/{_get(web, token, '/api/snapshots')['snapshots'][-1]['snapshot_id']}")


PICTURES: dict[str, Show] = {
    "page-sessions": _sessions,
    "page-tree": _tree,
    "page-compare": _compare,
    "page-map": _map,
    "page-review": _review,
    "page-dataset": _dataset,
}


if __name__ == "__main__":
    sys.exit(main())
