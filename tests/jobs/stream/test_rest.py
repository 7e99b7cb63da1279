"""Flink's REST API of a job in its own process is not for pages of other sites."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from features.service import Service
from infra.local.broker import Broker
from tests.support.streams import await_ready, embedded, own_topics

pytestmark = pytest.mark.stack

FORM = "multipart/form-data; boundary=x"
GRAPH = b'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{"jobGraphFileName": "graph"}\r\n--x--\r\n'


def test_a_page_of_another_site_gets_nothing_from_it(broker: Broker, small: Service, tmp_path: Path) -> None:
    """Neither by our name, with its own Origin, nor by a name that leads here by now: it could start any job, or end this one."""
    plan, ready = own_topics(broker, small.plan), tmp_path / "ready"
    with embedded(broker, plan, tmp_path, bounded=False, ready_file=ready, warm_up_ms=0) as process:
        await_ready(process, ready)
        said = json.loads(ready.read_text())
        api, job = said["rest"], f"/jobs/{said['job']}"
        own = api.partition("://")[2]
        for headers in ({"Host": "elsewhere.example"}, {"Origin": "http://elsewhere.example"}, {"Origin": "null"}):
            assert status(f"{api}/jobs", headers) == 403
            assert status(f"{api}{job}/yarn-cancel", headers) == 403
            assert status(f"{api}/jobs", {**headers, "Content-Type": FORM}, GRAPH) == 403
        assert status(f"{api}/jars", {}) == 404, "nobody sends it jars"
        for headers in ({}, {"Host": own.replace("127.0.0.1", "localhost")}, {"Origin": api}):
            assert status(f"{api}/jobs", headers) == 200
        with urllib.request.urlopen(f"{api}{job}") as response:  # noqa: S310
            assert response.headers["access-control-allow-origin"] == api
            assert json.load(response)["state"] == "RUNNING"


def status(url: str, headers: dict[str, str], body: bytes | None = None) -> int:
    """Of the response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:  # noqa: S310
            return int(response.status)
    except HTTPError as error:
        return error.code
