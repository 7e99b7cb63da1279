"""Whether anyone listens where Kafka should be: known at once, where a client tries for half a minute."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from kafka.cluster import get_ip_port_afi

from features.errors import StackError

SECONDS = 5.0
"""For one address."""


def listening(client: Mapping[str, Any]) -> None:
    """Raise `StackError` where no server listens at any of the addresses; ``client`` is what a kafka-python client is given."""
    said = []
    for address in client["bootstrap_servers"]:
        try:
            host, port, _ = get_ip_port_afi(address.rpartition("//")[2])
            socket.create_connection((host, port), timeout=SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:  # it may be no address at all
            said.append(f"{address}: {getattr(error, 'strerror', None) or error}")
        else:
            return
    raise StackError(
        f"Kafka is where kafka.bootstrap or the local stack says; nothing listens there; {', '.join(said)}; "
        "start it, fix kafka.bootstrap, or see 'headrace status'"
    )
