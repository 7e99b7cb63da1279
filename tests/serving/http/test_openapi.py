"""The service against its own description: requests of every kind, none of which is a fault of the service."""

from __future__ import annotations

import re

import hypothesis
import pytest
import schemathesis

from tests.serving.http.support import Running, event

pytestmark = pytest.mark.core

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
ALL = list(hypothesis.HealthCheck)


@pytest.mark.slow
def test_no_request_is_a_fault_of_the_service(running: Running) -> None:
    """What schemathesis makes of the description, right and wrong: its responses are as it says."""
    schema = schemathesis.openapi.from_url(f"http://{running.address}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        takes_body = "requestBody" in operation.definition.raw
        for mode in (POSITIVE, NEGATIVE) if takes_body else (POSITIVE,):

            @hypothesis.settings(max_examples=8 if takes_body else 2, deadline=None, suppress_health_check=ALL, database=None)
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def call(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                case.call_and_validate(checks=CHECKS)

            call()
    assert tried >= 60


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
