"""The service against its own description: requests of every kind, none of which is a fault of the service."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis

from features.definitions.load import Project
from infra.local.broker import Broker
from tests.serving.http.live import made_live
from tests.serving.http.support import Running, event

pytestmark = pytest.mark.slow

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
ALL = list(hypothesis.HealthCheck)


def fuzz(running: Running, wanted: Callable[[str], bool]) -> int:
    """Requests of the paths that are wanted, right and wrong, each as described; gives how many."""
    schema = schemathesis.openapi.from_url(f"http://{running.address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    return sum(requests(operation) for operation in operations if wanted(operation.path))


def requests(operation: Any) -> int:
    """Of one operation."""
    takes_body, is_stream = "requestBody" in operation.definition.raw, operation.path.startswith("/v1/stream/")
    tried = 0
    for mode in (POSITIVE, NEGATIVE) if takes_body or is_stream else (POSITIVE,):

        @hypothesis.settings(max_examples=8 if takes_body else 2, deadline=None, suppress_health_check=ALL, database=None)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            if is_stream and case.query.get("until", "end") in ("", "end"):
                case.query = {**case.query, "until": "end"}  # it has no end otherwise
            case.call_and_validate(checks=CHECKS)

        call()
    return tried


def test_no_request_is_a_fault_of_the_service(running: Running) -> None:
    """What schemathesis makes of the description, right and wrong: its responses are as it says."""
    assert fuzz(running, lambda path: True) >= 60


@pytest.mark.stack
def test_no_request_with_events_is_a_fault_of_the_service(broker: Broker, project: Project, tmp_path: Path) -> None:
    """Nor one for a stream, with Kafka behind it."""
    with made_live(broker, project, tmp_path).serving() as running:
        assert fuzz(running, lambda path: path.startswith(("/v1/events/", "/v1/stream/"))) >= 30


def test_the_description_names_what_each_service_takes(running: Running) -> None:
    """The columns that its model needs, windows where it takes them."""
    paths = running.request("GET", "/openapi.json").json["paths"]
    fraud, handbook = (
        paths[f"/v1/predict/{name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["rows"][
            "items"
        ]
        for name in ("fraud", "handbook")
    )
    assert set(fraud["properties"]["event"]["required"]) == {"amount", "customer_id"}
    assert "features" not in fraud["properties"]
    assert "terminal_risk__mean_30d" in handbook["properties"]["features"]["required"]


def test_the_page_takes_nothing_from_elsewhere(running: Running) -> None:
    """All that it names is here."""
    page = running.request("GET", "/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(files) == 4
    assert all(running.request("GET", f"/{file}").status == 200 for file in files)
    assert running.request("GET", "/docs/..%2f..%2fetc").status == 404
    assert running.predict(event()).status == 200
