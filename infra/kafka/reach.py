"""Kafka's errors as one line: what was refused and what to do, or why Kafka cannot be reached."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka.errors import (
    AuthorizationError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
)

from features.errors import HeadraceError, SettingError, StackError
from infra.kafka.listening import listening

SECONDS = 5
"""How long Kafka is tried to be reached."""
CLOSED = "socket disconnected"
"""What kafka-python 3.0.12 hears over TLS of a refused login: it does not read the refusal that comes before the end."""


@contextmanager
def connected(client: Mapping[str, Any]) -> Iterator[None]:
    """Kafka's errors within as one line: a `SettingError` where it refuses who we are or what we do, else a `StackError`."""
    listening(client)
    with _failures() as failures:
        try:
            yield
        except KafkaTimeoutError as error:
            raise _complaint(client, _most_telling(failures) or error) from None
        except KafkaError as error:
            raise _complaint(client, error) from None


def principal(client: Mapping[str, Any]) -> str:
    """Who a client says it is."""
    if client.get("sasl_plain_username"):
        return f"the user '{client['sasl_plain_username']}'"
    if client.get("ssl_certfile"):
        return f"the owner of {client['ssl_certfile']}"
    return "this process's principal"


def _complaint(client: Mapping[str, Any], error: BaseException) -> HeadraceError:
    servers = client["bootstrap_servers"]
    where = f"Kafka at {servers if isinstance(servers, str) else ','.join(servers)}"
    name = type(error).__name__
    said = f"{name}: {str(error).removeprefix(f'{name}: ')}"
    if isinstance(error, SaslAuthenticationFailedError) or (client.get("sasl_mechanism") and CLOSED in str(error)):
        return SettingError(
            f"{where} does not take the login of {principal(client)} with {client['sasl_mechanism']}; {said}; "
            "fix it in [kafka], or its secret (docs/secured-kafka.md)"
        )
    if isinstance(error, AuthorizationError):
        return SettingError(f"{where} refused {principal(client)}; {said}; grant what docs/secured-kafka.md lists")
    return StackError(f"{where} did not reply; {said}; see 'headrace status'")


def _most_telling(failures: Sequence[BaseException]) -> BaseException | None:
    """The last failure that says why; one that ran out of time says least, and comes last where the machine is busy."""
    telling = [failure for failure in failures if not isinstance(failure, RequestTimedOutError)]
    return next(reversed(telling or failures), None)


@contextmanager
def _failures() -> Iterator[list[BaseException]]:
    """Why kafka-python could not connect: it tries again until its time is over, and then says nothing but that.

    A refused login and a certificate that does not fit are told to its log alone (3.0.12).
    """
    failures: list[BaseException] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            arguments = record.args if isinstance(record.args, tuple) else ()
            failures.extend(one for one in arguments if isinstance(one, Exception) and not isinstance(one, KafkaTimeoutError))

    logger, listener = logging.getLogger("kafka.net.manager"), Listener()
    before = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield failures
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before[0])
        logger.propagate = before[1]
