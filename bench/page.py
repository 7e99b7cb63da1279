"""What the HTTP service uses of a core while nobody has its page open, one browser, and ten, which ask as `page.js` does.

    python -m bench.page [PROJECT [SERVICE]]

PROJECT (examples/fraud) is up, as by `headrace up` with an `[http]` section, and has something to show: docs/page.md. What is
asked is what a page asks, with its ETags; drawing is the browser's. Run it beside a replay, and without, and say which.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from bench.common import EXAMPLE, row
from bench.report import machine, table, write
from infra.local import stack
from infra.local.processes import Processes
from infra.settings import load_settings, run_folder

WARM_SECONDS, SECONDS = 15, 60
BROWSERS = (0, 1, 10)


def rows(project: Path, service: str) -> list[dict[str, Any]]:
    """Three lines for each number of browsers."""
    settings = load_settings(project)
    address = stack.http_address(project, settings)
    if address is None:
        raise RuntimeError(f"{project} has no HTTP service that runs; put [http] in headrace.toml, and run 'headrace up'")
    processes = Processes(stack.Folders(run_folder(project, settings)).run)
    return [line for count in BROWSERS for line in _of(f"{address.rstrip('/')}/v1/page", service, count, processes)]


def _of(address: str, service: str, count: int, processes: Processes) -> list[dict[str, Any]]:
    stop, replies = threading.Event(), list[tuple[int, int]]()
    browsers = [threading.Thread(target=_browse, args=(address, service, stop, replies)) for _ in range(count)]
    for browser in browsers:
        browser.start()
    time.sleep(WARM_SECONDS)
    replies.clear()
    before, began = processes.cpu_seconds(), time.monotonic()
    time.sleep(SECONDS)
    used, took, sent = processes.cpu_seconds(), time.monotonic() - began, [length for _, length in replies]
    stop.set()
    for browser in browsers:
        browser.join()
    name = f"{count} browsers"
    return [
        row(f"{name}: HTTP service", round(100 * (used["http"] - before["http"]) / took, 2), "% of a core", better="lower"),
        row(
            f"{name}: Kafka",
            round(100 * (used.get("kafka", 0) - before.get("kafka", 0)) / took, 2),
            "% of a core",
            better="lower",
        ),
        row(f"{name}: requests", round(len(sent) / took, 1), f"a second, {sum(sent) / took / 1000:,.1f} kB/s"),
    ]


def _browse(address: str, service: str, stop: threading.Event, replies: list[tuple[int, int]]) -> None:
    """Ask for each panel, and again so many seconds after its reply; ``replies`` gets each one's status and length."""
    place, every, etags = urlsplit(address), _panels(), dict[str, str]()
    due = dict.fromkeys(every, 0.0)
    with closing(HTTPConnection(place.netloc, timeout=30)) as connection:
        while not stop.wait(max(0.0, min(due.values()) - time.monotonic())):
            panel = min(due, key=lambda one: due[one])
            headers = {"if-none-match": etags[panel]} if panel in etags else {}
            connection.request("GET", f"{place.path}/{panel}?service={service}", headers=headers)
            response = connection.getresponse()
            etags[panel] = response.headers["etag"]
            replies.append((response.status, len(response.read())))
            due[panel] = time.monotonic() + every[panel]


def _panels() -> dict[str, int]:
    """How many seconds each panel waits, by its name."""
    folder = resources.files("serving.http.page") / "static" / "panels"
    pattern = r"export const every = (\d+);"
    return {one.name.removesuffix(".js"): int(re.findall(pattern, one.read_text())[0]) for one in folder.iterdir()}


if __name__ == "__main__":
    found = rows(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE, sys.argv[2] if len(sys.argv) > 2 else "fraud")
    Console().print(machine(), table(found), f"→ {write(found, 'page')}")
