"""The HTTP service of a stack: the real one beside stand-ins for the rest, started and stopped with the settings."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from infra.local import stack
from tests.infra.local.conftest import ALONE, Light

pytestmark = pytest.mark.stack

BOTH = ("cards", "terminals")


def described(light: Light) -> dict[str, Any]:
    """What the service says of itself."""
    with urllib.request.urlopen(f"{stack.http_address(light.folder, light.settings)}/openapi.json") as response:  # noqa: S310
        return dict(json.load(response)["paths"])


def test_the_service_runs_where_the_settings_have_its_section(light: Light) -> None:
    """For all services of the stack, anew where they are others; without the section it is stopped."""
    light.up("cards")
    assert "http" not in light.served()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_HTTP__PORT", "0")
        light.up("cards")
        assert light.served()["http"] == ("cards",)
        assert light.rows()["http"].address == stack.http_address(light.folder, light.settings)
        assert {"/v1/events/stack-transactions", "/v1/stream/cards"} <= described(light).keys()
        first = light.pids()["http"]
        light.up("cards")
        assert light.pids()["http"] == first
        light.up()
        assert light.served()["http"] == BOTH
        assert "/v1/stream/terminals" in described(light)
    light.up()
    assert "http" not in light.served()
    assert stack.http_address(light.folder, light.settings) is None


def test_services_of_two_modes_have_one_service_over_http(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though they have a stream job each."""
    monkeypatch.setenv("HEADRACE_HTTP__PORT", "0")
    light.define(
        '[terminal_risk], tags={"spine": "transactions"}', '[terminal_risk], tags={"spine": "transactions", "mode": "event_time"}'
    )
    light.train("terminals")
    light.program = ALONE
    light.up()
    found = light.served()
    assert found["http"] == BOTH
    assert (found["stream-cards"], found["stream-terminals"]) == (("cards",), ("terminals",))
