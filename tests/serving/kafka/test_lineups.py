"""Another version is taken while the stream goes on: at a known offset, within a second, with nothing missed or repeated."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict

import msgspec
import pytest

from features.errors import SettingError
from schemas import Deployment
from schemas.codec import decode_prediction
from serving.models.lifecycle import Canary, replay
from serving.predict.share import takes
from tests.serving.kafka.support import (
    LATE_MS,
    PARTITIONS,
    Setting,
    key_of,
    latest_ms,
    predicted_once,
    scored_traffic,
    scoring,
    vectors,
    wait_until,
)
from tests.support.odd_models import SPOILED

pytestmark = pytest.mark.stack

STEPS = 20


def test_a_promotion_is_taken_within_a_second(handbook: Setting) -> None:
    """Of events a few milliseconds apart, the first that the new version predicts comes within a second; and none is late."""
    version = handbook.add()
    with scored_traffic(handbook) as sent:
        wait_until(lambda: len(sent) > 100)
        promoted = time.time() * 1000
        handbook.change("promote", version)
        wait_until(lambda: any(one.version == version for one in handbook.said()), 5)
    records = handbook.predictions(len(sent))
    first = min(record.timestamp for record in records if decode_prediction(record.value).receipt.version == version)
    assert promoted - 5 <= first < promoted + 1000
    assert latest_ms(handbook, len(sent)) < LATE_MS
    predicted_once(handbook, range(len(sent)))


def test_each_prediction_is_of_the_version_that_was_legal_at_its_offset(handbook: Setting) -> None:
    """Under traffic, promotions, canaries, rollbacks and versions that do not load: by the topic `deployments` every prediction
    has the version that it should, every event one prediction, and the log's every entry its message."""
    chance = random.Random(13)
    versions = [1, handbook.add(), handbook.add(), handbook.add(SPOILED)]
    with scored_traffic(handbook, 1000) as sent:
        wait_until(lambda: len(sent) > 50)
        for _ in range(STEPS):
            told = handbook.deployments(_some_change(handbook, versions, chance))
    entries = handbook.registry.entries(handbook.plan.service)
    assert [one.seq for one in told] == [entry.seq for entry in entries]
    assert {one.state for one in told} == {"serving", "failed"}
    predicted_once(handbook, range(len(sent)))
    offsets: Counter[int] = Counter()
    found: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
    for record in sorted(handbook.predictions(len(sent)), key=lambda r: (r.partition, r.offset)):
        found[record.partition].append((record.key, decode_prediction(record.value).receipt.version))
    for partition in range(PARTITIONS):
        assert [key for key, _ in found[partition]] == [key_of(event) for at, event in sent if at == partition]
        for offset, (key, version) in enumerate(found[partition]):
            assert version == _legal(handbook, told, key, partition, offset)
            offsets[version] += 1
    assert offsets.keys() == {1, 2, 3}


def _some_change(setting: Setting, versions: list[int], chance: random.Random) -> int:
    """A change that is legal now."""
    while True:
        version, share = chance.choice(versions), chance.choice((0.05, 0.2, 0.5))
        change = chance.choice(("promote", "promote", "canary", "rollback"))
        try:
            if change == "rollback":
                return setting.change("rollback")
            return setting.change(change, version, **({"share": share} if change == "canary" else {}))
        except SettingError:
            continue


def _legal(setting: Setting, told: list[Deployment], key: bytes, partition: int, offset: int) -> int:
    """The version for a key at an offset, by the entries that were taken before it."""
    entries = setting.registry.entries(setting.plan.service)
    production, canary = 1, None
    for one in told:
        if one.offsets.get(partition, 0) > offset:
            break
        deployed = replay(one.service, entries[: one.seq])
        assert deployed.production is not None
        failed = one.state == "failed"
        wanted: Canary | None = deployed.canary
        if one.action == "canary":
            canary = canary if failed else wanted
        else:
            production = production if failed else deployed.production.version
            canary = None if wanted is None else canary
    return canary.version if canary is not None and takes(key, canary.share) else production


def test_a_version_that_does_not_load_leaves_the_old_one(handbook: Setting) -> None:
    """The log, the report and the topic say why; the next version that loads is taken."""
    bad, good = handbook.add(SPOILED), handbook.add()
    with scored_traffic(handbook) as sent:
        handbook.change("promote", bad)
        wait_until(lambda: any(one.state == "failed" for one in handbook.said()), 5)
        serving, failed = sorted(handbook.said(), key=lambda one: one.version)
        assert (serving.version, serving.state, failed.version) == (1, "serving", bad)
        assert failed.error is not None
        assert "ONNX Runtime can load" in failed.error
        handbook.change("promote", good)
        wait_until(lambda: [(one.version, one.state) for one in handbook.said()] == [(good, "serving")], 5)
    predicted_once(handbook, range(len(sent)))
    told = {one.version: one for one in handbook.deployments(3)}
    assert (told[bad].state, told[bad].offsets) == ("failed", {})
    assert (told[good].state, told[good].instance) == ("serving", "0")
    assert told[good].offsets.keys() == set(range(PARTITIONS))


def test_after_a_restart_the_newest_version_that_loads_serves(handbook: Setting) -> None:
    """What does not load is said to have failed; what was promoted while no scorer ran is told by the next one."""
    handbook.change("promote", handbook.add())
    bad = handbook.add(SPOILED)
    handbook.change("promote", bad)
    handbook.send(vectors(handbook.plan, range(10)))
    with scoring(handbook):
        versions = {decode_prediction(r.value).receipt.version for r in handbook.predictions(10)}
        wait_until(lambda: len(handbook.said()) == 2, 5)
    assert versions == {2}
    assert {(one.version, one.state) for one in handbook.said()} == {(2, "serving"), (bad, "failed")}


def test_without_a_version_in_production_that_loads_a_scorer_does_not_start(handbook: Setting) -> None:
    """One line, whether there is none, or none that loads."""
    handbook.plan = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-bare")
    with pytest.raises(SettingError, match="has no model there"), scoring(handbook):
        pass
    handbook.change("promote", handbook.add(SPOILED))
    with pytest.raises(SettingError, match="ONNX Runtime can load"), scoring(handbook):
        pass
