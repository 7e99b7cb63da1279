"""All benches, one after the other in one run: a table, and ``bench/results/<name>.json``.

python -m bench [NAME ...]
"""

from __future__ import annotations

import sys

from rich.console import Console

from bench import batch, latency, scorer, throughput
from bench.common import handbook_data
from bench.report import machine, table, write

BENCHES = {
    "throughput": throughput.rows,
    "scorer": scorer.rows,
    "latency": latency.rows,
    "batch": lambda: batch.rows(handbook_data()),
}


def main() -> None:
    """Run those that are named, or all."""
    console = Console()
    console.print(machine())
    for name in sys.argv[1:] or BENCHES:
        rows = BENCHES[name]()
        console.print(table(rows), f"→ {write(rows, name)}\n")


if __name__ == "__main__":
    main()
