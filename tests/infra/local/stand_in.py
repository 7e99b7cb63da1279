"""Stands in for ``headrace stream`` and ``headrace scorer``: says what they say once they are ready, and waits to be stopped."""

import json
import sys
import time
from pathlib import Path

role, *arguments = sys.argv[1:]
project = Path(arguments[arguments.index("--project") + 1])
run = Path(arguments[arguments.index("--settings") + 1]).parent
service = arguments[0]
said = {"rest": "http://127.0.0.1:1"}
if role == "scorer":
    models = project / "models"
    newest = max((models / "deployments" / service).glob("*.json"))
    version = json.loads(newest.read_text())["version"]
    manifest = json.loads((models / service / str(version) / "manifest.json").read_text())
    said = {"version": version, "sha256": manifest["sha256"]}
(run / "ready" / f"{role}-{service}").write_text(json.dumps(said))
time.sleep(600)
