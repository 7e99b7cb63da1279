"""The README of a bundle: how to run it, and what it needs to be right."""

from __future__ import annotations

from collections.abc import Sequence

from serving.edge.headrace_edge.plan import Plan
from serving.models.manifest import Manifest

TEXT = """# {model} version {version}, on a device

Events in, predictions out: the same sliding windows and the same model as in the cloud, without Kafka, Flink, Feast or a network.

{how}
## Events

An event is a JSON object a line, with the columns of `{spine}`: {columns}.
{others}
Before the first event the runner holds every file that it uses against `manifest.json`, and replays {golden} golden vectors:
windows to the bit, means of floats and variances within their rule's bounds, scores within {tolerance}. If anything differs it
says so in one line, and does not run.

## What the device must see

A feature is what it is in the cloud only if the device has the same events:

{needs}

Where rows are missing the receipt says `complete: false`: before the device has seen a whole window, unless it was told that
nothing happened before its first event or its windows were filled with earlier ones, and after rows or keys had to leave, of
which it keeps a number that is an option. What other devices saw, and this one did not, it cannot know of.

## Later, in the cloud

The outbox has every event that was taken, as it came, with its prediction in the field `_edge`. Publish its files in the order of
their numbers, a source to its topic, each once, when they are closed, and compare:

```sh
{publish}
headrace edge-audit {service} {outbox}{spine}-*.jsonl
```
"""
PYTHON = """## With Python

You need Python {python} or newer with `numpy` and `onnxruntime`, nothing else, on Linux or another Unix. The bundle was made with
numpy {numpy} and onnxruntime {onnxruntime}.

```sh
python run.py --check                                             # replay the golden vectors
python run.py --events events.jsonl > predictions.jsonl           # a file, nothing is kept
tail -F events.jsonl | python run.py --state state                # a stream; windows and outbox are kept in state/
```

`python run.py --help` has all options: `--whole-from ever` says that nothing happened before the first event, `--fill` fills the
windows from a file of earlier events, `--rows` and `--keys` bound what is kept. The outbox is `state/outbox/`; its newest files
are closed when the runner has ended.
"""
BROWSER = """## In a browser

Serve the folder by https, or from localhost: `python -m http.server --bind 127.0.0.1` does for a try. `index.html` is an example
of a page, which scores with ONNX Runtime for WebAssembly, in `onnxruntime/`. Your own, in another file, for those of the bundle
are held against the manifest, may say:

```js
import {{ open }} from "./browser/runner.js";
const runner = await open({{ state: "till-7" }});     // checks the bundle, and goes on where it was
const line = await runner.take('{{"{event_id}": 1}}'); // the prediction, a line of JSON
```

`browser/runner.js` has all options and their defaults, at its beginning. State and outbox are in the browser's database;
`runner.file(name)` gives a file of the outbox, and the page downloads it.
"""


def readme(
    plan: Plan, manifest: Manifest, needs: Sequence[str], versions: dict[str, str], golden: int, python: bool, browser: bool
) -> str:
    """The text; ``golden`` is the number of vectors, ``python`` and ``browser`` say which runners there are."""
    spine, sources = plan.spine, plan.sources
    others = [name for name in sources if name != spine]
    known = {**versions, "event_id": sources[spine].event_id}
    parts = [text.format_map(known) for text, is_there in ((PYTHON, python), (BROWSER, browser)) if is_there]
    outbox = "state/outbox/" if python else ""
    return TEXT.format(
        model=manifest.name,
        version=manifest.version,
        spine=spine,
        service=manifest.service,
        columns=", ".join(f"`{column.name}`" for column in sources[spine].columns),
        others=f"Events of {', '.join(others)} are lines `SOURCE<TAB>{{…}}` among them.\n" if others else "",
        golden=golden,
        tolerance=plan.model.tolerance,
        needs="\n".join(f"- {one}" for one in needs) or "- nothing but the event itself: the model has no windows",
        how="\n".join(parts),
        outbox=outbox,
        publish="\n".join(
            f"headrace publish {outbox}{name}-00000001.jsonl --topic {source.topic}"
            for name, source in sorted(sources.items(), key=lambda item: item[0] == spine)
        ),
    )
