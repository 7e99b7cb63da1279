"""What becomes a version passes here: every check of a model, its signature, and its golden batch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from features.errors import DefinitionError, SettingError
from features.inputs.feeds import feeds
from features.inputs.onnx import Onnx
from features.inputs.outputs import is_classifier, signature
from features.inputs.reference import Reference, encode_reference
from features.inputs.session import open_session
from features.inputs.signature import Signature, Task, Tensor, tensors
from features.plan import Plan
from serving.models import golden
from serving.models.golden import Row
from serving.models.manifest import Draft, Manifest

LARGEST = 256 * 1024 * 1024
"""Bytes of an ONNX file: a scorer holds it twice while it loads."""
VECTORS = re.compile(r"(avx|amx|sve|asimd|fma|f16c|neon|sse4)\w*")
PROBED = 16
"""Rows from which the outputs' shapes are learned."""


class Given(NamedTuple):
    """Rows to make the golden batch of, in the order of the model's columns."""

    rows: Sequence[Row]
    scores: Sequence[float | None] | None = None
    """The scores that the library which made the model gave for them, where they are known."""


GiveRows = Callable[[tuple[str, ...]], Given]
"""Gives rows of these columns."""


def admit(
    onnx: bytes,
    plan: Plan,
    *,
    name: str,
    created_at: int,
    inputs: Sequence[str] | None = None,
    score: str | None = None,
    task: Task | None = None,
    give: GiveRows | None = None,
    trained_from: int | None = None,
    trained_until: int | None = None,
    metrics: Mapping[str, float] | None = None,
    note: str = "",
    lineage: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Draft:
    """``onnx`` as a version of ``name`` for the service of ``plan``, checked and tried.

    ``inputs`` are features in the order of the model's, by default the plan's; ``score``, ``OUTPUT[:CLASS]``, is the number that
    predictions are of, by default the one that it can only be; ``task`` follows from the outputs by default. ``give`` is asked
    for rows of the columns that the model takes; none: they are made. ``reference`` is what the rows that it learnt from were, if
    that is known.

    Raises `SettingError` or `DefinitionError` for a model that cannot serve the plan, with what to do about it.
    """
    if len(onnx) > LARGEST:
        raise SettingError(
            f"a model is at most {LARGEST:,} bytes; got {len(onnx):,}; make it smaller: fewer trees, layers or float16 weights"
        )
    session = open_session(onnx)
    taken = tensors(session, plan, inputs)
    columns = tuple(column for tensor in taken for column in tensor.columns)
    given = give(columns) if give else Given(())
    found = _signature(session, taken, given.rows, score)
    model = Onnx(session, found)
    rows = golden.given_rows(model, given.rows) if give else golden.made_rows(taken)
    if given.scores is not None:
        golden.check_scores(model, given.rows, given.scores)
    if not rows:
        raise SettingError(
            f"a golden batch is of given rows that can be kept; of {len(given.rows)} none has finite inputs, and a score where "
            "some are null; give rows that the model scores, or none (without --golden they are made)"
        )
    content, kept = golden.make(model, rows)
    known = None if reference is None else encode_reference(reference)
    manifest = Manifest(
        name=name,
        version=0,
        service=plan.service,
        sha256=hashlib.sha256(onnx).hexdigest(),
        plan=plan.digest,
        signature=found,
        task=task or ("classification" if is_classifier(found) else "regression"),
        created_at=created_at,
        golden=kept,
        onnxruntime=ort.__version__,
        cpu=cpu_flags(),
        trained_from=trained_from,
        trained_until=trained_until,
        metrics=dict(metrics or {}),
        note=note,
        lineage=dict(lineage or {}),
        reference=None if known is None else hashlib.sha256(known).hexdigest(),
        segments=() if reference is None else reference.of_event(found.columns),
    )
    return Draft(manifest, onnx, content, known)


def cpu_flags(info: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """The vector instructions that this CPU has, where the system says so: with others, dense models differ in the last bits."""
    if not info.is_file():
        return ()
    lines = [line.partition(":")[2] for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))]
    return tuple(sorted({flag for flag in lines[0].split() if VECTORS.fullmatch(flag)})) if lines else ()


def _signature(session: Any, taken: tuple[Tensor, ...], given: Sequence[Row], score: str | None) -> Signature:
    """The outputs are known once the model has run, on given rows that its inputs hold, or on made ones."""
    rows = [row for row in given[:PROBED] if _is_held(taken, row)] or golden.made_rows(taken)[:PROBED]
    try:
        return signature(session, taken, feeds(taken, rows * 2 if len(rows) == 1 else rows), score)
    except SettingError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common type
        raise SettingError(
            f"a model scores rows of its inputs; ONNX Runtime says of {'given' if given else 'made'} ones: "
            f"{' '.join(str(error).split())[:300]}; fix the model, or give rows as it knows them (--golden)"
        ) from None


def _is_held(taken: tuple[Tensor, ...], row: Row) -> bool:
    try:
        feeds(taken, [row])
    except DefinitionError:
        return False
    return True
