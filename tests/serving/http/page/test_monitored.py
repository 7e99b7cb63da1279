"""References of versions: read and hashed once, and looked at again where the monitor has counted with another one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from features.errors import StackError
from features.inputs.reference import Reference, encode_reference
from serving.http.page import monitored
from serving.http.page.monitored import Monitored
from serving.monitor.state import Version
from tests.serving.monitor.support import reference

pytestmark = pytest.mark.slow


def test_a_reference_is_read_and_hashed_once_and_again_where_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry or a state that was made good is seen as it is."""
    encoded: list[Reference] = []
    given: list[tuple[str, int]] = []

    def give(model: str, version: int) -> Reference:
        given.append((model, version))
        return reference()

    def encode(one: Reference) -> bytes:
        encoded.append(one)
        return encode_reference(one)

    monkeypatch.setattr(monitored, "encode_reference", encode)
    found = Monitored(lambda service: Path(service), "day", give)
    right = sha256(encode_reference(reference())).hexdigest()
    with pytest.raises(StackError, match="remove the monitor's state"):
        found.reference(Version("shop", 1, "0" * 64))
    for _ in range(3):
        assert found.reference(Version("shop", 1, right)) == reference()
    assert len(encoded) == len(given) == 2
