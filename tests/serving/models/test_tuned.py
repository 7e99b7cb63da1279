"""What was measured for a version on a machine is used on such machines, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from features.errors import SettingError
from features.inputs import running, session
from features.inputs.session import DEFAULT, Execution, open_session
from serving.models.admit import admit
from serving.models.manifest import Model
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.models.tuned import Machine, Tuned, path_of, read_tuned, this_machine
from tests.support.models import stumps
from tests.support.orders import PLAN

HERE = Machine("a CPU", ("avx2",), 2, "1.31.0", ("CPUExecutionProvider",))
ELSEWHERE = msgspec.structs.replace(HERE, cores=4)
PARTS = Execution(rows_at_once=64, binding=True)


def registered(root: Path | str) -> tuple[Registry, Model]:
    """A version of two inputs."""
    registry = Registry(root)
    made = admit(stumps([0.25, 0.5]), PLAN, name="orders", created_at=0, inputs=("recent__sum_price", "recent__count"))
    registry.register(made)
    return registry, registry.get("orders", 1)


def tuned(model: Model, execution: Execution = PARTS, machine: Machine = HERE) -> Tuned:
    """What won there."""
    return Tuned(machine, model.manifest.sha256, execution, {"1": 1.0, "256": 0.8}, 5)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Execution]:
    """How sessions were opened."""
    found: list[Execution] = []

    def watched(onnx: bytes, execution: Execution = DEFAULT, *more: Any) -> Any:
        found.append(execution)
        return open_session(onnx, execution, *more)

    monkeypatch.setattr(running, "open_session", watched)
    return found


def test_a_version_runs_as_measured_on_such_a_machine(root: Path | str, opened: list[Execution]) -> None:
    """With four cores in place of two it runs as everywhere; the scores are the same."""
    registry, model = registered(root)
    registry.tune("orders", 1, tuned(model))
    model = registry.get("orders", 1)
    here, there = load_model(model, lambda: HERE), load_model(model, lambda: ELSEWHERE)
    assert opened == [PARTS, DEFAULT]
    rows: Any = [(n, n % 7) for n in range(300)]
    assert here.score(rows) == there.score(rows)
    assert registry.versions("orders") == (1,)
    assert [manifest.version for manifest in registry.manifests()] == [1]


def test_a_measurement_replaces_the_one_before_and_can_be_forgotten(tmp_path: Path) -> None:
    """The newest holds; another machine's stays; a version that is removed takes them all along."""
    registry, model = registered(tmp_path)
    registry.tune("orders", 1, tuned(model))
    registry.tune("orders", 1, tuned(model, Execution(level="off")))
    registry.tune("orders", 1, tuned(model, machine=ELSEWHERE))
    found = read_tuned(registry.get("orders", 1), HERE)
    assert found is not None
    assert found.execution == Execution(level="off")
    registry.forget_tuned("orders", 1, HERE)
    assert read_tuned(registry.get("orders", 1), HERE) is None
    assert read_tuned(registry.get("orders", 1), ELSEWHERE) is not None
    registry.remove("orders", 1, who="me")
    assert not (tmp_path / path_of("orders", 1, ELSEWHERE)).exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "gave Input data was truncated"),
        (msgspec.json.encode(Tuned(HERE, "0" * 64, PARTS, {}, 5)), "is of sha256 000000000000; tune it again"),
        (None, r"got NoProvider; there are .*; install it, or tune the model again"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_version_serves(
    tmp_path: Path, content: bytes | None, said: str, opened: list[Execution]
) -> None:
    """A file that is none, or another model's, or asks for what is not here: a log line, and the defaults."""
    registry, model = registered(tmp_path)
    file = tmp_path / path_of("orders", 1, HERE)
    file.parent.mkdir()
    file.write_bytes(content or msgspec.json.encode(tuned(model, Execution(provider="NoProvider"))))
    with capture_logs() as lines:
        loaded = load_model(registry.get("orders", 1), lambda: HERE)
    assert loaded.score([(0, 0)]).scores[0] < 0.5
    assert opened[-1] == DEFAULT
    (line,) = lines
    assert (line["event"], line["log_level"], line["version"]) == ("not run as tuned", "warning", 1)
    with pytest.raises(SettingError, match=said):
        raise SettingError(line["error"])


@pytest.mark.parametrize(("steps", "refused"), [(1, False), (2, False), (8, True)])
def test_scores_that_differ_when_tuned_are_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, refused: bool
) -> None:
    """The golden batch is replayed with the settings; where it disagrees, the version serves with the defaults.

    By two of a float32's steps at 1, 2**-23, any sum in another order may be off.
    """
    registry, model = registered(tmp_path)
    registry.tune("orders", 1, tuned(model))

    def off(session: Any) -> Any:
        """Runs that give other scores."""
        return lambda names, fed: [raw + raw.dtype.type(steps * 2.0**-23) for raw in session.run(names, fed)]

    monkeypatch.setattr(running, "_bound", off)
    with capture_logs() as lines:
        loaded = load_model(registry.get("orders", 1), lambda: HERE)
    assert ["got score" in line["error"] for line in lines] == ([True] if refused else [])
    assert 0 < loaded.score([(0, 0)]).scores[0] < 0.5


def test_a_provider_that_does_not_start_is_not_taken_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime runs on the CPU then, and says nothing: what is measured would be the CPU under another's name."""
    monkeypatch.setattr(session, "providers", lambda: ("TensorrtExecutionProvider", session.CPU))
    with pytest.raises(SettingError, match=r"got TensorrtExecutionProvider, which is installed and does not start"):
        open_session(stumps([0.25]), Execution(provider="TensorrtExecutionProvider"))
    assert open_session(stumps([0.25])).get_providers() == [session.CPU]


def test_cuda_multiplies_float32_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default rounds to 10 bits first, and scores are others; no GPU is here, so what ONNX Runtime is told is looked at."""
    told: list[Any] = []

    def refuse(*_: Any, **given: Any) -> None:
        told.append(dict(zip(given["providers"], given["provider_options"], strict=True)))
        raise RuntimeError("no GPU")

    monkeypatch.setattr(session, "providers", lambda: (session.CUDA, session.CPU))
    monkeypatch.setattr(session.ort, "InferenceSession", refuse)
    with pytest.raises(SettingError, match=r"got CUDAExecutionProvider, which is installed and does not start \(no GPU\)"):
        open_session(stumps([0.25]), Execution(provider=session.CUDA))
    assert told == [{session.CUDA: {"use_tf32": "0"}, session.CPU: {}}]


def test_a_machine_is_its_cpu_its_cores_and_its_libraries(tmp_path: Path) -> None:
    """Each has a part in the name of its file."""
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: A CPU 9\nflags\t\t: fpu avx2 avx512_vnni\n")
    found = this_machine(info)
    assert (found.cpu, found.flags) == ("A CPU 9", ("avx2", "avx512_vnni"))
    assert found.cores >= 1
    assert "CPUExecutionProvider" in found.providers
    assert found.text == f"A CPU 9, {found.cores} core{'s' * (found.cores > 1)}, ONNX Runtime {found.onnxruntime}"
    other = [msgspec.structs.replace(found, **change) for change in ({"cpu": "B"}, {"flags": ()}, {"onnxruntime": "2"})]
    assert len({machine.key for machine in (found, *other, HERE, ELSEWHERE)}) == 6
    assert this_machine(info).key == found.key
