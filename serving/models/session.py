"""A model loaded, checked and warm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from features.errors import SettingError
from features.inputs.feeds import Feed
from features.inputs.onnx import Onnx, Scored, ScoredTable
from features.inputs.outputs import no_score
from features.inputs.session import open_session
from features.plan import Plan
from schemas.features import Value
from serving.models import golden
from serving.models.manifest import Manifest, Model, read_golden, read_onnx


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


def load_model(model: Model) -> LoadedModel:
    """``model`` loaded, its bytes checked, and warm: it predicts its golden batch as it did when it was added.

    Raises `SettingError` where it cannot be put in service here.
    """
    manifest, content, batch = model.manifest, read_onnx(model), golden.read(read_golden(model))
    try:
        onnx = Onnx(open_session(content), manifest.signature)
        golden.replay(onnx, batch, manifest.onnxruntime)
    except SettingError as error:
        raise SettingError(f"model '{manifest.name}' {manifest.version}: {error}") from None
    return LoadedModel(manifest, onnx)
