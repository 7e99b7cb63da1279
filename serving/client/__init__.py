"""A typed client of Headrace: predictions on demand, stored ones, events that are published, streams of predictions.

    from serving.client import Client

    with Client("http://127.0.0.1:8080") as client:
        client.fetch("shop", 12).score

It needs no more than msgspec and urllib3. `serving.client.kafka` is the same over Kafka.
"""

from serving.client.errors import ClientError, DeniedError, ExpiredError, NotFoundError, RefusedError, UnavailableError
from serving.client.http import Accepted, Client, Failed
from serving.client.received import Received

__all__ = [
    "Accepted",
    "Client",
    "ClientError",
    "DeniedError",
    "ExpiredError",
    "Failed",
    "NotFoundError",
    "Received",
    "RefusedError",
    "UnavailableError",
]
