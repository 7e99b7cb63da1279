"""Several services in one process: each with a thread and clients of its own, and none in the way of another."""

from __future__ import annotations

import threading

import msgspec
import pytest

from features.errors import SettingError
from serving.kafka.run import Job, run_all
from tests.serving.kafka.support import Setting, predicted_once, prediction_count, vectors, wait_until

pytestmark = pytest.mark.stack


def job(setting: Setting) -> Job:
    """What the scorer of a service is started with."""
    return Job(setting.service, setting.registry, setting.config())


def test_services_share_a_process_and_one_that_fails_disturbs_no_other(handbook: Setting, fraud: Setting) -> None:
    """Two score their streams while a third has no model; one takes another version, and the other's stream goes on. What the
    third failed for is raised when the others end."""
    bare = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-bare")
    without_model = job(handbook)._replace(service=msgspec.structs.replace(handbook.service, plan=bare))
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run_all([job(handbook), without_model, job(fraud)], stop)
        except SettingError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with handbook.traffic() as sent:
            fraud.send(vectors(fraud.plan, range(100)))
            wait_until(lambda: prediction_count(fraud) == 100)
            version = fraud.add()
            fraud.change("promote", version)
            wait_until(lambda: [one.version for one in fraud.said()] == [version])
        predicted_once(handbook, range(len(sent)))
        predicted_once(fraud, range(100))
        assert not errors
    finally:
        stop.set()
        thread.join(60)
    assert [str(error) for error in errors] == [
        f"what serves is what is in production; service '{bare.service}' has no model there; train one with "
        f"'headrace train {bare.service} --from DATE --promote production', or put one there with 'headrace models promote'"
    ]
