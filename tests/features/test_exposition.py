"""Metrics on a port of the loopback."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import CollectorRegistry

from features.errors import StackError
from features.exposition import exposed


def test_a_port_that_cannot_be_had_is_one_line() -> None:
    """One that is taken, and one beyond the last, which the second scorer of a service may be given."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, why in ((taken.getsockname()[1], "Address already in use"), (65_536, "port must be 0-65535")):
            with pytest.raises(StackError, match=rf"^metrics are on a port of their own; 127.0.0.1:{port} gave: .*{why}"):
                exposed(CollectorRegistry(), port).__enter__()
