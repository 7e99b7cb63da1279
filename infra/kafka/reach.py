"""Kafka's errors as one line: what was refused and what to do, or why Kafka cannot be reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError, SaslAuthenticationFailedError

from features.errors import SettingError, StackError

LOOK_SECONDS = 3


@contextmanager
def connected(client: Mapping[str, Any]) -> Iterator[None]:
    """Kafka's errors within as one line: a `SettingError` where it refuses who we are or what we do, else a `StackError`."""
    try:
        yield
    except SaslAuthenticationFailedError as error:
        raise SettingError(
            f"Kafka at {_address(client)} does not take the login of {principal(client)} with {client['sasl_mechanism']}: "
            f"{error}; fix kafka.sasl_… and its secret (docs/secured-kafka.md)"
        ) from None
    except AuthorizationError as error:
        raise SettingError(
            f"Kafka at {_address(client)} refused {principal(client)}: {type(error).__name__}: {error}; "
            "grant what docs/secured-kafka.md lists for this process"
        ) from None
    except KafkaError as error:
        why = isinstance(error, KafkaTimeoutError) and refusal(client)
        raise StackError(
            f"Kafka at {_address(client)} did not reply; {why or f'{type(error).__name__}: {error}'}; see 'headrace status'"
        ) from None


def principal(client: Mapping[str, Any]) -> str:
    """Who a client says it is."""
    if client.get("sasl_plain_username"):
        return f"the user '{client['sasl_plain_username']}'"
    if client.get("ssl_certfile"):
        return f"the owner of {client['ssl_certfile']}"
    return "this process's principal"


def refusal(client: Mapping[str, Any]) -> str | None:
    """Why the first of Kafka's addresses gives no TLS connection; None where it gives one, or none is wanted.

    kafka-python tries again until its time is over, and then says that it is.
    """
    if not client.get("security_protocol", "PLAINTEXT").endswith("SSL"):
        return None
    host, _, port = _addresses(client)[0].rpartition(":")
    try:
        context = ssl.create_default_context(cafile=client.get("ssl_cafile"))
        if client.get("ssl_certfile"):
            context.load_cert_chain(client["ssl_certfile"], client["ssl_keyfile"], client.get("ssl_password"))
        with socket.create_connection((host, int(port)), LOOK_SECONDS) as plain:
            plain.settimeout(LOOK_SECONDS)
            with context.wrap_socket(plain, server_hostname=host) as secured:
                _hear(secured)
    except (OSError, ValueError) as error:  # ssl's are among the first
        return f"no TLS connection: {error}"
    return None


def _hear(secured: ssl.SSLSocket) -> None:
    """With TLS 1.3 a broker refuses a client's certificate after the handshake, by an alert; else it waits for us to speak."""
    try:
        secured.settimeout(LOOK_SECONDS / 3)
        secured.recv(1)
    except TimeoutError:
        return


def _addresses(client: Mapping[str, Any]) -> list[str]:
    servers = client["bootstrap_servers"]
    return servers.split(",") if isinstance(servers, str) else list(servers)


def _address(client: Mapping[str, Any]) -> str:
    return ",".join(_addresses(client))
