"""Stands in for ``headrace stream`` and ``headrace scorer``: says what they say once they are ready, and waits to be stopped.

``headrace serve`` is the real one, unless the first word is ``alone``.
"""

import json
import os
import sys
import time
from pathlib import Path

is_alone = sys.argv[1] == "alone"
role, *arguments = sys.argv[1 + is_alone :]
if role == "serve" and not is_alone:
    os.execv(sys.executable, (sys.executable, "-P", "-m", "infra.cli", role, *arguments))  # noqa: S606
project = Path(arguments[arguments.index("--project") + 1])
run = Path(arguments[arguments.index("--settings") + 1]).parent
service = arguments[0]
name = "http" if role == "serve" else f"{role}-{service}"
said = {"rest": "http://127.0.0.1:1"}
if role == "scorer":
    instance = arguments[arguments.index("--instance") + 1] if "--instance" in arguments else None
    name += "" if instance is None else f"@{instance}"
    log = project / "models" / "deployments" / service
    entry = json.loads(max(log.glob("*.json")).read_text())
    said = {"version": entry["version"]}
    numbers = {"events": 7, "errors": 0, "skipped": 0, "events_per_second": 1.5, "p99_ms": 2.25}
    place = {"alias": "production", "share": None, "since": entry["at"], "seq": entry["seq"], "offsets": {}}
    serving = {"model": service, "version": entry["version"], "state": "serving", "error": None, **place, **numbers}
    report = {"instance": instance or "0", "at": int(time.time() * 1000), "serving": [serving]}
    (log / "scorers").mkdir(exist_ok=True)
    (log / "scorers" / f"{report['instance']}.json").write_text(json.dumps(report))
name = arguments[arguments.index("--ready") + 1] if "--ready" in arguments else name
(run / "ready" / name).write_text(json.dumps(said))
time.sleep(600)
