"""Chromium without a window, for tests of what a browser shows and runs; and a server of a folder on loopback."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = "no Chromium: apt install chromium, or set CHROMIUM to its path; without it no browser runs what is made for one"
FLAGS = ("--no-sandbox",)  # as root it has no sandbox
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""The headers that make a page cross-origin isolated."""
BLANK = "blank.html"
"""A page that `served` has in every folder, with nothing in it but a strict policy."""
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:"
CONTENT = f"""<!doctype html><link rel="icon" href="data:,"><meta http-equiv="Content-Security-Policy" content="{POLICY}">"""


expect.set_options(timeout=60_000)  # a bundle is verified and replayed first, maybe on cores that do much else


def command() -> str:
    """The path of this machine's; the test is skipped where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(ADVICE)
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A Chromium that keeps nothing."""
    found = command()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*FLAGS])
        yield browser
        browser.close()


@contextmanager
def keeping(browser: Browser, profile: Path) -> Iterator[BrowserContext]:
    """Another Chromium of the kind of ``browser``, which keeps what its pages store in ``profile``."""
    context = browser.browser_type.launch_persistent_context(profile, executable_path=command(), args=[*FLAGS])
    try:
        yield context
    finally:
        context.close()


@contextmanager
def served(folder: Path, headers: Mapping[str, str] | None = None, port: int = 0) -> Iterator[str]:
    """The address, on loopback, of a folder whose files are served with these headers."""
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Files, headers or {}, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, headers: Mapping[str, str], *words: Any, **named: Any) -> None:
        self._own = headers
        super().__init__(*words, **named)

    def do_GET(self) -> None:
        """A file, or the blank page."""
        if self.path != f"/{BLANK}":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(CONTENT.encode())

    def end_headers(self) -> None:
        """With those of the server; the browser keeps nothing."""
        for name, value in {"Cache-Control": "no-store", **self._own}.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *words: Any) -> None:
        """Nothing."""
