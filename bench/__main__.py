"""All benches, one after the other in one run: a table, and ``bench/results/<name>.json``.

python -m bench [NAME ...]
"""

from __future__ import annotations

import signal
import sys

from rich.console import Console

from bench import (
    backends,
    backfill,
    batch,
    cycle,
    decay,
    drift,
    edge,
    events,
    exact,
    fencing,
    flat,
    historical,
    kinds,
    latency,
    lineup,
    monitor,
    online,
    overload,
    score,
    scorer,
    serve,
    shape,
    steps,
    throughput,
)
from bench.common import handbook_data
from bench.peers import hot_keys, side_by_side
from bench.report import machine, table, write

BENCHES = {
    "throughput": throughput.rows,
    "scorer": scorer.rows,
    "monitor": monitor.rows,
    "steps": steps.rows,
    "cycle": cycle.rows,
    "serve": serve.rows,
    "overload": overload.rows,
    "events": events.rows,
    "lineup": lineup.rows,
    "fencing": fencing.rows,
    "latency": latency.rows,
    "batch": lambda: batch.rows(handbook_data()),
    "memory": lambda: batch.memory_rows(handbook_data()),
    "backfill": backfill.rows,
    "historical": lambda: historical.rows(handbook_data()),
    "score": lambda: score.rows(handbook_data()),
    "drift": drift.rows,
    "edge": edge.rows,
    "decay": decay.rows,
    "kinds": kinds.rows,
    "exact": exact.rows,
    "backends": backends.rows,
    "shape": shape.rows,
    "flat": flat.rows,
    "online": online.rows,
    "peers": side_by_side.rows,
    "hot_keys": hot_keys.rows,
}


def main() -> None:
    """Run those that are named, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the blocks that end what was started
    console = Console()
    console.print(machine())
    for name in sys.argv[1:] or BENCHES:
        rows = BENCHES[name]()
        console.print(table(rows), f"→ {write(rows, name)}\n")


if __name__ == "__main__":
    main()
