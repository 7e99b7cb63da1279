"""A model loaded, checked and warm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import structlog

from features.errors import SettingError
from features.inputs.feeds import Feed
from features.inputs.onnx import Onnx, Scored, ScoredTable
from features.inputs.outputs import no_score
from features.inputs.running import open_model
from features.inputs.session import DEFAULT, Execution
from features.plan import Plan
from schemas.features import Value
from serving.models import golden
from serving.models.manifest import Manifest, Model, read_golden, read_onnx
from serving.models.tuned import Machine, read_tuned, this_machine

log = structlog.get_logger()


class LoadedModel:
    """A version that is ready to score."""

    def __init__(self, manifest: Manifest, onnx: Onnx) -> None:
        self.manifest = manifest
        self._onnx = onnx

    def score(self, rows: Sequence[tuple[Value, ...]]) -> Scored:
        """What the model gives for input vectors, a row each, in the order of the manifest's inputs. None is a null.

        Raises `DefinitionError` for a value that an input does not hold, and what ONNX Runtime raises.
        """
        return self._onnx.score(rows)

    @property
    def outputs(self) -> dict[str, tuple[str, list[int]]]:
        """All that the model gives, by name: its type in the Open Inference Protocol, and its shape, -1 for any size."""
        return self._onnx.outputs

    def run(self, fed: Mapping[str, Feed], names: Sequence[str]) -> list[Feed]:
        """These outputs for what the model is fed, as tensors. Raises what ONNX Runtime raises."""
        return self._onnx.tensors(fed, names)

    def score_table(self, table: pa.Table, plan: Plan) -> ScoredTable:
        """The same for the rows of a table of features, and why those without a score have none."""
        return self._onnx.score_table(table, plan, no_score(self.manifest.name, self.manifest.version))


def load_model(model: Model, machine: Callable[[], Machine] = this_machine) -> LoadedModel:
    """``model`` loaded, its bytes checked, and warm: it predicts its golden batch as it did when it was added.

    It runs as `headrace tune` found best on a machine like this one, if it did; where it then predicts otherwise, or can't,
    it runs as everywhere, and a log line says why. Raises `SettingError` where it cannot be put in service here.
    """
    manifest, content, batch = model.manifest, read_onnx(model), golden.read(read_golden(model))
    try:
        tuned = read_tuned(model, machine())
        if tuned is not None:
            return LoadedModel(manifest, _replayed(model, content, batch, tuned.execution))
    except SettingError as error:
        log.warning("not run as tuned", model=manifest.name, version=manifest.version, error=str(error))
    try:
        return LoadedModel(manifest, _replayed(model, content, batch, DEFAULT))
    except SettingError as error:
        raise SettingError(f"model '{manifest.name}' {manifest.version}: {error}") from None


def _replayed(model: Model, content: bytes, batch: golden.Batch, execution: Execution) -> Onnx:
    onnx = open_model(content, model.manifest.signature, execution)
    golden.replay(onnx, batch, model.manifest.onnxruntime)
    return onnx
