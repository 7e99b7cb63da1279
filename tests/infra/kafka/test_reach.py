"""What is said of a Kafka that could not be reached."""

from __future__ import annotations

import logging
import socket

import pytest
from kafka.errors import KafkaTimeoutError, RequestTimedOutError, SaslAuthenticationFailedError

from features.errors import SettingError
from infra.kafka.reach import connected


def test_a_refusal_is_told_although_later_attempts_ran_out_of_time() -> None:
    """As on a busy machine, where kafka-python's last attempt has 50 ms left: its log, in that order, is all that there is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = {
            "bootstrap_servers": [f"127.0.0.1:{listener.getsockname()[1]}"],
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": "ann",
        }
        with pytest.raises(SettingError, match="does not take the login of the user 'ann' with PLAIN"), connected(client):
            fail(SaslAuthenticationFailedError("no"), RequestTimedOutError("after 52 ms"))


def fail(*attempts: Exception) -> None:
    """End as kafka-python does after these attempts."""
    for failure in attempts:
        logging.getLogger("kafka.net.manager").warning("attempt failed: %s", failure)
    raise KafkaTimeoutError("Unable to bootstrap")
