"""A guard against page faults: errors, policy violations, requests to other origins, and executed messages."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

_LOCAL = ("data:", "blob:", "about:")


class PageGuard:
    """Watches every page of a browser context. ``faults`` is what was seen that is not allowed."""

    def __init__(self, origin: str) -> None:
        self.faults: list[str] = []
        self.origins = {origin}
        self._allowed: list[re.Pattern[str]] = []

    def watch(self, context: BrowserContext) -> None:
        """Watch the pages of this context, those that it opens later too."""
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("dialog", self._on_dialog)

    def allow(self, pattern: str) -> None:
        """A fault in which the pattern is found is none: a test that stops the server expects that requests fail."""
        self._allowed.append(re.compile(pattern))

    def check(self) -> None:
        """Fail when something was seen that is not allowed, and forget it."""
        seen, self.faults = self.faults, []
        assert not seen, "\n".join(seen)

    def _note(self, fault: str) -> None:
        if not any(pattern.search(fault) for pattern in self._allowed):
            self.faults.append(fault)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            place = message.location.get("url", "") if message.location else ""
            self._note(f"console {message.type}: {message.text} ({place})")

    def _on_error(self, error: WebError) -> None:
        self._note(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        if request.url.startswith(_LOCAL):
            return
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" not in self.origins:
            self._note(f"request to another origin: {request.method} {request.url[:300]}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"a dialog was opened: {dialog.type} {dialog.message!r}")
        dialog.dismiss()
