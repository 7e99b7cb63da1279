"""What a million predictions cost in CPU: on a device, by Python and in a browser, and in the cloud.

    python -m bench edge                        # core seconds
    python -m bench.edge --core-hour 0.05       # and what they come to, where an hour of a core costs so much

One model, the service ``handbook`` of the example, and the events of one day, transactions and labels, after 31 days that fill
the device's windows. CPU is that of all processes at work: the runner's, or all of Chromium's, less what an idle start takes; in
the cloud that of Kafka, the stream job and the scorer, at steady rates, for what they use while they wait is paid too. It needs
npm and Chromium.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
from rich.console import Console

from bench.common import DATA, EXAMPLE, handbook_data, history_events, row
from bench.cpu import cores, jvm_of
from bench.scorer import trained_model
from features.definitions.load import load
from features.plan import Plan
from features.times import Span, day_ms
from infra.cli import run
from infra.local import jars, stack
from infra.local.broker import Broker
from infra.local.processes import Processes
from infra.local.stack.record import scorer_name, stream_name
from infra.settings import load_settings, run_folder
from jobs.ingest.publish import Event, at_rate, publish
from serving.models.admit import admit
from serving.models.registry import Registry

SERVICE = "handbook"
FILLING = day_ms(date(2018, 7, 8)), day_ms(date(2018, 8, 8))
DAY = FILLING[1], day_ms(date(2018, 8, 9))
RATES = (200, 2000)
"""Events a second, of which half get a prediction."""
SECONDS, WARM_UP_SECONDS = 40, 40
AT_ONCE = 10_000
"""Events that are handed to a page at once."""
MILLION = 1_000_000
HOUR = 3600
TAKE = """async ([lines, fill]) => {
  for (const [source, text] of lines) await (fill ? runner.fill(text, source) : runner.take(text, source));
}"""
OPEN = "async () => { window.runner = await (await import('/browser/runner.js')).open({ state: 'bench' }); }"


def rows(core_hour: float | None = None) -> list[dict[str, Any]]:
    """A line for each place where a model runs; ``core_hour`` is the price of one, and adds lines of what a million cost."""
    handbook_data()
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        plan = _project(folder)
        bundle = Path(temporary) / "bundle"
        words = ["export-edge", SERVICE, "--out", str(bundle), "--sees", "labels", "--runner", "both", "--project", str(folder)]
        if run(words):
            raise RuntimeError(f"the bench runs a bundle; 'headrace {' '.join(words)}' made none; see above")
        seconds = {"on a device, Python": _python(bundle, folder, plan), "on a device, browser": _browser(bundle, folder, plan)}
        seconds |= {f"in the cloud, at {rate / 2:,g} predictions/s": used for rate, used in _cloud(folder, plan).items()}
    found = [row(f"core seconds for a million {where}", round(used), "s", better="lower") for where, used in seconds.items()]
    if core_hour is not None:
        price = f"at {core_hour:g} an hour of a core"
        costs = {where: used / HOUR * core_hour for where, used in seconds.items()}
        found += [row(f"a million {where}, {price}", round(cost, 4), "", better="lower") for where, cost in costs.items()]
    return found


def _project(folder: Path) -> Plan:
    """A copy of the example, with its data and a model of 100 trees in production."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data").mkdir()
    for file in DATA.glob("*.parquet"):
        (folder / "data" / file.name).symlink_to(file)
    plan = load(folder).service(SERVICE).plan
    registry = Registry(folder / "models")
    made = registry.register(admit(trained_model(len(plan.inputs)), plan, name=SERVICE, created_at=0))
    registry.set_alias(SERVICE, "production", made.version)
    return plan


def _lines(folder: Path, plan: Plan, span: tuple[int, int]) -> list[tuple[str, str]]:
    """Events with their sources."""
    sources = {source.topic: source.name for source in plan.sources}
    return [(sources[event.topic], event.value.decode()) for event in history_events(folder, plan, Span(*span))]


def _predictions(lines: list[tuple[str, str]], plan: Plan) -> int:
    return sum(source == plan.spine for source, _ in lines)


def _python(bundle: Path, folder: Path, plan: Plan) -> float:
    """Core seconds for a million."""
    state = folder / "state"

    def used(span: tuple[int, int] | None, *options: str) -> tuple[float, int]:
        lines = _lines(folder, plan, span) if span else []
        given = "".join(f"{source}\t{text}\n" for source, text in lines)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [sys.executable, str(bundle / "run.py"), "--state", str(state), *options]
        subprocess.run(words, input=given.encode(), check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return took, _predictions(lines, plan)

    used(FILLING, "--fill")
    idle, _ = used(None)
    took, predictions = used(DAY)
    return (took - idle) / predictions * MILLION


def _browser(bundle: Path, folder: Path, plan: Plan) -> float:
    """The same in a page whose state is kept."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise RuntimeError("the bench runs a bundle in Chromium; there is none on PATH; apt install chromium")
    with _served(bundle) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/README.md")
        page.evaluate(OPEN)
        for span, fill in ((FILLING, True), (DAY, False)):
            lines = _lines(folder, plan, span)
            before = _chromium_seconds()
            for first in range(0, len(lines), AT_ONCE):
                page.evaluate(TAKE, [lines[first : first + AT_ONCE], fill])
        page.evaluate("runner.close()")
        took = _chromium_seconds() - before
        browser.close()
    return took / _predictions(lines, plan) * MILLION


def _chromium_seconds() -> float:
    children = psutil.Process().children(recursive=True)
    times = [one.cpu_times() for one in children if "chrom" in one.name()]
    return float(sum(one.user + one.system for one in times))


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        """Nothing."""


def _cloud(folder: Path, plan: Plan) -> dict[int, float]:
    """By rate, of all processes of the local stack; their windows begin empty."""
    stream = history_events(folder, plan, Span(DAY[0], None))
    found = {}
    with Broker(folder / "kafka") as broker, ExitStack() as entered:
        settings = load_settings(folder, kafka={"bootstrap": broker.bootstrap}, services=[SERVICE])
        entered.callback(stack.down, folder, settings)
        stack.up(folder, settings)
        processes = _processes(broker, folder, settings)
        _send(stream, broker, WARM_UP_SECONDS, RATES[-1])
        for rate in RATES:
            began = time.monotonic()
            with cores(processes) as used:
                predictions = _send(stream, broker, SECONDS, rate, plan.spine_source.topic)
            found[rate] = sum(used.values()) * (time.monotonic() - began) / predictions * MILLION
    return found


def _processes(broker: Broker, folder: Path, settings: Any) -> dict[str, tuple[int, ...]]:
    known = Processes(run_folder(folder, settings))
    pids = {"broker": (broker.pid,)}
    for name in (scorer_name(SERVICE), stream_name((SERVICE,))):
        running = known.running(name)
        assert running is not None
        pids[name] = (running.pid, jvm_of(running.pid)) if name != scorer_name(SERVICE) else (running.pid,)
    return pids


def _send(stream: Iterator[Event], broker: Broker, seconds: int, rate: int, topic: str = "") -> int:
    """Send the next events for so long; gives how many of them are on ``topic``."""
    events = list(islice(stream, seconds * rate))
    publish(events, {"bootstrap_servers": broker.bootstrap}, at_rate(rate))
    return sum(event.topic == topic for event in events)


def main() -> None:
    """The figures as a table, with a price where one is given."""
    parser = argparse.ArgumentParser(description="What a million predictions cost.")
    parser.add_argument("--core-hour", type=float, help="the price of an hour of a core")
    from bench.report import table

    Console().print(table(rows(parser.parse_args().core_hour)))


if __name__ == "__main__":
    main()
