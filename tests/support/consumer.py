"""Ingest in this process, beside a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from regraft.flows.capture.consume import consume


@contextlib.contextmanager
def consuming(dsn, nats_url):
    """Ingest in this process, on a separate thread."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    failed: list[BaseException] = []

    def main():
        try:
            loop.run_until_complete(consume(dsn, nats_url, stop))
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failed.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=main)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    assert failed == []
    assert not thread.is_alive()
