"""The Open Inference Protocol, version 2: a model's own tensors in and out, as JSON or with the binary extension.

It is the model alone: no batch features, no functions. The models are the versions that serve, by their names.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from features.inputs.signature import Tensor
from schemas.codec import UNREADABLE
from serving.http import tensors
from serving.http.config import HttpConfig
from serving.http.gate import RETRY_SECONDS, Gate, too_many
from serving.http.media import BINARY, JSON, json_response
from serving.http.problems import ProblemError
from serving.http.served import Served, all_ready
from serving.models.session import LoadedModel
from serving.predict.lineup import Lane

HEADER = "inference-header-content-length"
"""How long the JSON is that stands before the binary tensors."""
LENGTH = re.compile("[0-9]{1,18}")


class Input(msgspec.Struct):
    """A tensor of a request."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = msgspec.UNSET


class Wanted(msgspec.Struct):
    """An output that a request names."""

    name: str
    parameters: dict[str, Any] = {}


class Infer(msgspec.Struct):
    """A request."""

    inputs: list[Input]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Wanted] = []


_decode = msgspec.json.Decoder(Infer).decode


class Inference:
    """The protocol's endpoints, for all services of the process."""

    def __init__(self, served: Mapping[str, Served], config: HttpConfig, gate: Gate) -> None:
        self._served, self._config, self._gate = served, config, gate
        self._threads = ThreadPoolExecutor(thread_name_prefix="infer")
        self._running = 0
        """Requests with the threads, those included for which nobody waits any more."""

    async def server(self, request: Request) -> Response:
        """``GET /v2``."""
        return json_response(
            {"name": "headrace", "version": version("headrace"), "extensions": ["binary_tensor_data", "model_repository"]}
        )

    async def live(self, request: Request) -> Response:
        """``GET /v2/health/live``."""
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """``GET /v2/health/ready``: every service has a model that is warm."""
        is_ready = all_ready(self._served)
        return json_response({"ready": is_ready}, 200 if is_ready else 503)

    async def index(self, request: Request) -> Response:
        """``POST /v2/repository/index``: the versions that serve."""
        lanes = {(lane.placed.model, lane.placed.version) for lane in self._lanes()}
        return json_response(
            [{"name": name, "version": str(number), "state": "READY", "reason": ""} for name, number in sorted(lanes)]
        )

    async def model_ready(self, request: Request) -> Response:
        """``GET /v2/models/{model}[/versions/{version}]/ready``."""
        lane = self._lane(request)
        return json_response({"name": lane.placed.model, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """``GET /v2/models/{model}[/versions/{version}]``."""
        lane = self._lane(request)
        model = lane.predictor.model
        versions = {one.placed.version for one in self._lanes() if one.placed.model == lane.placed.model}
        return json_response(
            {
                "name": lane.placed.model,
                "versions": [str(number) for number in sorted(versions)],
                "platform": "onnx_onnxv1",
                "inputs": [
                    {"name": one.name, "datatype": tensors.KINDS[one.type], "shape": [-1, *_width(one)]}
                    for one in model.manifest.signature.inputs
                ],
                "outputs": [
                    {"name": name, "datatype": datatype, "shape": shape} for name, (datatype, shape) in model.outputs.items()
                ],
            }
        )

    async def infer(self, request: Request) -> Response:
        """``POST /v2/models/{model}[/versions/{version}]/infer``."""
        began = time.monotonic()
        lane = self._lane(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise ProblemError(415, "a body is sent as it is; got one with Content-Encoding; send it without")
        with self._gate.admit():
            infer, raw = _parted(await self._gate.body(request), request.headers.get(HEADER))
            model = lane.predictor.model
            fed, rows = self._fed(model, infer, raw)
            names = [one.name for one in infer.outputs] or list(model.outputs)
            _check_names(names, infer.outputs, model)
            found = await self._run(model, fed, names, rows, began + self._seconds(infer))
        return _response(lane, infer, names, found)

    def _lanes(self) -> list[Lane]:
        return [lane for one in self._served.values() if one.now for lane in one.now.lineup.lanes]

    def _lane(self, request: Request) -> Lane:
        """The version that a path names; without one, production's. Raises `ProblemError`, 404."""
        name, number = request.path_params["model"], request.path_params.get("version")
        for lane in self._lanes():  # production comes before its canary
            if lane.placed.model == name and number in (None, str(lane.placed.version)):
                return lane
        wanted = name if number is None else f"{name} version {number}"
        raise ProblemError(404, f"no model '{wanted}' serves here; POST /v2/repository/index lists those that do")

    def _seconds(self, infer: Infer) -> float:
        """Until when there are outputs: as the settings say, or sooner, as the parameter ``timeout`` does, in microseconds."""
        timeout, most = infer.parameters.get("timeout"), self._config.deadline_ms / 1000
        return min(most, timeout / 1_000_000) if isinstance(timeout, int) and timeout > 0 else most

    def _fed(self, model: LoadedModel, infer: Infer, raw: bytes) -> tuple[dict[str, tensors.Array], int]:
        """What the model is fed, and its rows. Raises `ProblemError` for what it does not take."""
        wanted = {one.name: one for one in model.manifest.signature.inputs}
        given = [one.name for one in infer.inputs]
        if sorted(given) != sorted(wanted):
            raise ProblemError(
                400, f"the model takes each of its inputs once: {', '.join(wanted)}; got {', '.join(given) or 'none'}"
            )
        rows = {_rows(one, wanted[one.name]) for one in infer.inputs}
        if len(rows) != 1:
            raise ProblemError(400, f"inputs have as many rows as one another; got {sorted(rows)}")
        count = rows.pop()
        if count > self._config.max_rows:
            raise ProblemError(413, f"a request has at most {self._config.max_rows} rows (http.max_rows); got {count}")
        fed, place = {}, 0
        for one in infer.inputs:
            size = one.parameters.get("binary_data_size")
            if size is None:
                data = None if one.data is msgspec.UNSET else one.data
                found = tensors.of_json(one.name, one.datatype, one.shape, data)
            else:
                if type(size) is not int or size < 0 or place + size > len(raw):
                    raise ProblemError(400, f"'{one.name}' has its bytes behind the JSON; got binary_data_size {size!r:.40}")
                found = tensors.of_bytes(one.name, one.datatype, one.shape, raw[place : place + size])
                place += size
            fed[one.name] = tensors.converted(one.name, found, wanted[one.name].type)
        if place != len(raw):
            raise ProblemError(400, f"behind the JSON are the bytes of the inputs; got {len(raw)}, they have {place}")
        return fed, count

    async def _run(
        self, model: LoadedModel, fed: Mapping[str, tensors.Array], names: Sequence[str], rows: int, until: float
    ) -> list[tensors.Array]:
        if not rows:
            return [_empty(*model.outputs[name]) for name in names]
        if self._running >= self._config.max_concurrency:
            raise too_many(self._config.max_concurrency)
        loop = asyncio.get_running_loop()
        running = self._threads.submit(_run_before, until, model, fed, names)
        self._running += 1
        running.add_done_callback(lambda _: self._ended(loop))
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.shield(asyncio.wrap_future(running))
        except TimeoutError:
            raise ProblemError(503, "the model gave nothing within the request's time", retry_after=RETRY_SECONDS) from None
        except Exception as error:  # ONNX Runtime's errors have no common type
            raise ProblemError(422, f"the model failed: {type(error).__name__}: {error}") from None

    def _ended(self, loop: asyncio.AbstractEventLoop) -> None:
        """A run has; called on its thread."""

        def count() -> None:
            self._running -= 1

        with suppress(RuntimeError):  # the loop has ended: nobody counts
            loop.call_soon_threadsafe(count)


def _run_before(until: float, model: LoadedModel, fed: Mapping[str, tensors.Array], names: Sequence[str]) -> list[tensors.Array]:
    if time.monotonic() >= until:  # nobody waits for it any more
        raise TimeoutError
    return model.run(fed, names)


def _width(one: Tensor) -> list[int]:
    return [len(one.columns)] if one.matrix else []


def _rows(given: Input, wanted: Tensor) -> int:
    """How many rows an input has; raises `ProblemError` for a shape that the model does not take."""
    width = _width(wanted)
    if len(given.shape) != 1 + len(width) or given.shape[1:] != width or given.shape[0] < 0:
        shape = ", ".join(["n", *map(str, width)])
        raise ProblemError(400, f"the model's input '{given.name}' has the shape [{shape}]; got {given.shape!r:.80}")
    return given.shape[0]


def _parted(body: bytes, length: str | None) -> tuple[Infer, bytes]:
    """The JSON of a body, decoded, and the bytes behind it."""
    if length is not None and not (LENGTH.fullmatch(length) and int(length) <= len(body)):
        raise ProblemError(400, f"{HEADER} is the length of the JSON before the bytes; got {length:.40} of {len(body)}")
    end = len(body) if length is None else int(length)
    try:
        return _decode(body[:end]), body[end:]
    except UNREADABLE as error:
        raise ProblemError(400, f"a request is JSON as the Open Inference Protocol has it; {error}") from None


def _check_names(names: Sequence[str], outputs: Sequence[Wanted], model: LoadedModel) -> None:
    unknown = [name for name in names if name not in model.outputs]
    if unknown:
        raise ProblemError(400, f"the model's outputs are {', '.join(model.outputs)}; got '{unknown[0]}'")
    if len(set(names)) < len(names):
        raise ProblemError(400, f"each output is named once; got {', '.join(names)}")
    if any("classification" in one.parameters for one in outputs):
        raise ProblemError(400, "outputs are tensors; the extension 'classification' is not here; leave it out")


def _empty(datatype: str, shape: Sequence[int]) -> tensors.Array:
    return np.empty([0, *(max(size, 0) for size in shape[1:])], tensors.DTYPES[datatype])


def _response(lane: Lane, infer: Infer, names: Sequence[str], found: Sequence[tensors.Array]) -> Response:
    default, chosen = infer.parameters.get("binary_data_output", False), {one.name: one.parameters for one in infer.outputs}
    outputs, parts = [], []
    for name, values in zip(names, found, strict=True):
        told: dict[str, Any] = {"name": name, "datatype": tensors.datatype_of(values), "shape": list(values.shape)}
        if chosen.get(name, {}).get("binary_data", default) is True:
            parts.append(tensors.to_bytes(values))
            told["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            told["data"] = tensors.to_json(values)
        outputs.append(told)
    head: dict[str, Any] = {"model_name": lane.placed.model, "model_version": str(lane.placed.version), "outputs": outputs}
    if infer.id:
        head["id"] = infer.id
    body = msgspec.json.encode(head)
    if not parts:
        return Response(body, media_type=JSON)
    return Response(b"".join([body, *parts]), media_type=BINARY, headers={HEADER: str(len(body))})
