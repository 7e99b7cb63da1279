"""Chromium without a window, for tests of what a browser shows and runs; and a server of a folder on loopback.

It is driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over a WebSocket.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)
STARTED_S, ANSWERED_S = 60, 60
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""The headers that make a page cross-origin isolated."""


def browser() -> str:
    """The command; the test is skipped where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium; without it no browser runs what is made for one")
    return found


class Page:
    """A tab. ``errors`` are what its console and its scripts complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self._socket, self._sent = socket, 0
        for domain in ("Runtime", "Log", "Page"):
            self.send(f"{domain}.enable")

    def send(self, method: str, timeout: float = ANSWERED_S, **parameters: Any) -> dict[str, Any]:
        """What the browser says to a command of the protocol. Fails with its error."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        until = time.monotonic() + timeout
        while True:
            said = json.loads(self._socket.recv(timeout=max(0.0, until - time.monotonic())))
            if said.get("id") == self._sent:
                assert "error" not in said, f"{method}: {said['error']}"
                result: dict[str, Any] = said["result"]
                return result
            self._note(said)

    def goto(self, url: str) -> None:
        """Open an address, and wait until the page is loaded."""
        self.errors.clear()
        failed = self.send("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self.until("document.readyState == 'complete'")

    def reload(self) -> None:
        """The same address once more, in a new document."""
        self.run("window.before_reload = true")
        self.send("Page.reload")
        self.until("!window.before_reload && document.readyState == 'complete'")

    def run(self, expression: str, timeout: float = ANSWERED_S) -> Any:
        """The value of an expression, a promise's once it is there. Fails with what it threw."""
        said = self.send("Runtime.evaluate", timeout, expression=expression, awaitPromise=True, returnByValue=True)
        thrown = said.get("exceptionDetails")
        assert thrown is None, thrown.get("exception", {}).get("description") or thrown["text"]
        return said["result"].get("value")

    def call(self, function: str, *arguments: Any, timeout: float = ANSWERED_S) -> Any:
        """What a function gives for values that JSON holds."""
        return self.run(f"({function})(...{json.dumps(arguments)})", timeout)

    def until(self, expression: str, timeout: float = ANSWERED_S) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + timeout
        while not self.run(expression):
            assert time.monotonic() < until, f"not true after {timeout} s: {expression}; {self.errors}"
            time.sleep(0.02)

    def _note(self, said: Mapping[str, Any]) -> None:
        """Keep what an event of the protocol complains of."""
        what = said.get("params", {})
        if said["method"] == "Runtime.exceptionThrown":
            thrown = what["exceptionDetails"]
            self.errors.append(thrown.get("exception", {}).get("description") or thrown["text"])
        if said["method"] == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(f"{what['entry']['text']} {what['entry'].get('url', '')}".strip())
        if said["method"] == "Runtime.consoleAPICalled" and what["type"] == "error":
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in what["args"]))


@contextmanager
def opened(profile: Path, *flags: str) -> Iterator[Page]:
    """A browser with one tab; what it keeps lies in ``profile``. It ends with the block."""
    profile.mkdir(parents=True, exist_ok=True)
    place = profile / "DevToolsActivePort"
    place.unlink(missing_ok=True)
    words = [browser(), *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    with (profile / "chromium.log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            port = _port(place, process)
            with connect(_tab(port), max_size=None, open_timeout=STARTED_S) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(timeout=STARTED_S)


def _port(place: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + STARTED_S
    while not place.is_file() or not place.read_text().strip():
        assert process.poll() is None, f"Chromium ended with {process.returncode}: {(place.parent / 'chromium.log').read_text()}"
        assert time.monotonic() < until, f"Chromium did not start in {STARTED_S} s"
        time.sleep(0.05)
    return int(place.read_text().split()[0])


def _tab(port: int) -> str:
    """The WebSocket of the tab that is open."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=STARTED_S) as said:  # noqa: S310 - our own browser
        tabs = [one for one in json.load(said) if one["type"] == "page"]
    return str(tabs[0]["webSocketDebuggerUrl"])


@contextmanager
def served(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address, on loopback, of a folder whose files are served with these headers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, headers or {}, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - the base's
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, headers: Mapping[str, str], *words: Any, **named: Any) -> None:
        self._own = headers
        super().__init__(*words, **named)

    def end_headers(self) -> None:
        """With those of the server, and nothing kept by the browser."""
        for name, value in {"Cache-Control": "no-store", **self._own}.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *words: Any) -> None:
        """Nothing."""
