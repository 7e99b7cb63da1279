"""What cannot be scored, and what keeps a scorer from starting or going on; on a real broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource

from features.definitions.load import Project
from features.errors import DefinitionError, SettingError, StackError
from features.feast.keys import Key, definition
from features.plan import BatchView
from infra.config import scorer_config
from infra.local.broker import Broker
from infra.local.stack.turns import write_turns
from infra.settings import ScorerSettings
from schemas import Origin
from schemas.topics import DEAD_LETTERS, KAFKA_BYTES, dead_letter_value_bytes
from serving.kafka.run import load
from serving.kafka.turns import Turn, Turns
from serving.models.admit import admit
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.message import UnscorableError
from serving.predict.predictor import Predictor
from serving.predict.vector import Vectors
from tests.serving.kafka.support import (
    PARTITIONS,
    Setting,
    predicted_once,
    scoring,
    vector,
    vectors,
)
from tests.support.models import register, stumps


@pytest.mark.stack
def test_bad_record_goes_to_dead_letters_and_its_neighbours_are_scored(handbook: Setting) -> None:
    """A dead letter has the reason, the record's place and its bytes; one bad record costs its neighbours nothing."""
    plan = handbook.plan
    another = msgspec.structs.replace(plan, lateness_ms=plan.lateness_ms + 1)
    bad: dict[str, bytes | None] = {
        "malformed": b"{not json",
        "no value": None,
        "plan": vector(another, 100),
        "customer_spend__mean_7d": without(vector(plan, 101), "features", "customer_spend__mean_7d"),
        "float": vector(plan, 102, event_columns={"amount": "much"}),
        "TypeError": vector(plan, 103, event_columns={"amount": None}),  # the on-demand function refuses null
        "Int64": vector(plan, 104, event_columns={"event_time": 2**63}),
        "too deep": vector(plan, 105)[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    }
    good = [vector(plan, event) for event in range(9)]
    woven = [value for pair in zip(good, [*bad.values(), None], strict=True) for value in pair][:-1]
    handbook.send([(0, value) for value in woven])
    with scoring(handbook):
        predicted_once(handbook, range(9))
        letters = sorted(handbook.dead_letters(len(bad)), key=lambda letter: letter.origin.offset)
    assert [(letter.reason, letter.origin, letter.value) for letter in letters] == [
        ("unscorable", Origin(plan.features_topic, 0, 2 * i + 1), value) for i, value in enumerate(bad.values())
    ]
    details = [letter.detail for letter in letters]
    assert "JSON is malformed" in details[0]
    assert "no value" in details[1]
    assert another.short_digest in details[2]
    assert "customer_spend__mean_7d" in details[3]
    assert "float" in details[4]
    assert "TypeError" in details[5]
    assert "int" in details[6]
    assert "recursion" in details[7]


@pytest.mark.stack
def test_vector_without_a_place_is_a_dead_letter_where_plans_take_turns(handbook: Setting, tmp_path: Path) -> None:
    """Whose turn an event is cannot be told without it."""
    plan = handbook.plan
    write_turns(tmp_path, plan.service, Turns((Turn(plan.short_digest, "g", begins={0: 0}),)))
    nowhere = vector(plan, 100).replace(b'"partition":0', b'"partition":"0"')
    handbook.send([(0, nowhere), (0, vector(plan, 0))])
    with scoring(handbook, msgspec.structs.replace(handbook.config(), turns=tmp_path)):
        predicted_once(handbook, [0])
        (letter,) = handbook.dead_letters(1)
    assert (letter.reason, letter.value) == ("unscorable", nowhere)
    assert "origin" in letter.detail


@pytest.mark.stack
def test_bad_record_too_long_for_a_dead_letter_is_told_without_its_bytes(handbook: Setting) -> None:
    """It must not stop the scorer, whose topic of dead letters may have Kafka's own limit."""
    longest = dead_letter_value_bytes(KAFKA_BYTES)
    handbook.send([(0, b"x" * (longest + 1)), (0, vector(handbook.plan, 0))])
    with scoring(handbook, msgspec.structs.replace(handbook.config(), longest={DEAD_LETTERS.name: KAFKA_BYTES})):
        predicted_once(handbook, [0])
        (letter,) = handbook.dead_letters(1)
    assert letter.value is None
    assert f"its {longest + 1} bytes are left out" in letter.detail


@pytest.mark.stack
def test_vector_that_comes_again_has_one_dead_letter(handbook: Setting) -> None:
    """Read again by another scorer, or written again by Flink, it is known: by its origin, or by its event."""
    unreadable, unscorable = b"{not json", vector(handbook.plan, 1, event_columns={"amount": None})
    handbook.send([(0, unreadable), (0, unscorable), (0, unscorable)])
    for events in ([0], [0, 2]):
        again = msgspec.structs.replace(handbook.config(), group=f"{handbook.plan.service}.{len(events)}")
        handbook.send([(0, unscorable), (0, vector(handbook.plan, events[-1]))])
        with scoring(handbook, again):
            predicted_once(handbook, events)
    assert sorted(letter.origin.offset for letter in handbook.dead_letters(2)) == [0, 1]


@pytest.mark.stack
def test_vector_that_could_not_be_scored_is_scored_when_it_is_published_again(handbook: Setting) -> None:
    """The event has no prediction, so that a replay is no repeat, for the scorer that refused it too."""
    with scoring(handbook):
        handbook.send([(0, vector(handbook.plan, 1, event_columns={"amount": None})), (0, vector(handbook.plan, 0))])
        handbook.dead_letters(1)
        handbook.send([(0, vector(handbook.plan, 1)), (0, vector(handbook.plan, 0))])
        predicted_once(handbook, [0, 1])


@pytest.mark.stack
def test_every_codec_is_read(handbook: Setting) -> None:
    """Whatever a topic, or its producer, compresses with."""
    codecs = (None, "gzip", "snappy", "lz4", "zstd")
    for number, codec in enumerate(codecs):
        handbook.send(vectors(handbook.plan, range(number * 10, number * 10 + 10)), codec=codec)
    with scoring(handbook):
        predicted_once(handbook, range(len(codecs) * 10))


def no_topic(topic: str) -> int:
    """Kafka's, before there are any."""
    return 0


def without(value: bytes, group: str, name: str) -> bytes:
    """The message less one of its values."""
    message = msgspec.json.decode(value)
    del message[group][name]
    return msgspec.json.encode(message)


@pytest.mark.stack
def test_prediction_that_kafka_refuses_is_fatal(broker: Broker, handbook: Setting) -> None:
    """No event is skipped: the scorer ends, and its offset is not committed, so that the next one predicts it.

    The topic takes less than it did when the scorer began.
    """
    refusing = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-refusing")
    register(handbook.folder, refusing, stumps([0.0] * len(refusing.inputs)))
    broker.create_topics(dict.fromkeys((refusing.features_topic, refusing.predictions_topic), PARTITIONS))
    handbook.plan = refusing
    with pytest.raises(StackError, match="Kafka did not take one"), scoring(handbook):
        outgrow_predictions(broker, handbook)
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=f"headrace.scorer.{refusing.service}")) as consumer:
        committed = [consumer.committed(TopicPartition(refusing.features_topic, partition)) for partition in range(PARTITIONS)]
    assert [offset or 0 for offset in committed] == [0] * PARTITIONS


def outgrow_predictions(broker: Broker, setting: Setting) -> None:
    """Let the topic of predictions take none of them any more, and send some vectors."""
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.alter_configs([ConfigResource("TOPIC", setting.plan.predictions_topic, {"max.message.bytes": "100"})])
    setting.send(vectors(setting.plan, range(3)))
    time.sleep(2)


@pytest.mark.stack
def test_missing_topic_is_refused(handbook: Setting) -> None:
    """The scorer makes no topics; it says which are missing."""
    handbook.plan = msgspec.structs.replace(handbook.plan, service="topicless")
    register(handbook.folder, handbook.plan, stumps([0.0] * len(handbook.plan.inputs)))
    with pytest.raises(SettingError, match=r"features\.topicless"), scoring(handbook):
        pass


@pytest.mark.stack
def test_predictions_topic_with_fewer_partitions_is_refused(broker: Broker, handbook: Setting) -> None:
    """Every partition of the features needs its own among the predictions."""
    handbook.plan = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-narrow")
    broker.create_topics({handbook.plan.features_topic: 2, handbook.plan.predictions_topic: 1})
    register(handbook.folder, handbook.plan, stumps([0.0] * len(handbook.plan.inputs)))
    with pytest.raises(SettingError, match="2 partitions"), scoring(handbook):
        pass


def test_key_that_no_store_holds_costs_its_neighbours_nothing(project: Project, tmp_path: Path) -> None:
    """Of a poll's vectors the one with such a key is unscorable; the scorer goes on."""
    service = project.service("fraud")
    (view,) = service.plan.batch
    entity_key = definition(service.objects, view).entity_key

    def rows(view: BatchView, keys: Sequence[Key]) -> Sequence[None]:
        return [entity_key((2**63,) if key == (3,) else key) and None for key in keys]

    register(tmp_path, service.plan, stumps([0.0] * len(service.plan.inputs)))
    predictor = Predictor(load_model(Registry(tmp_path).get("fraud", "production")), service.plan)
    made = Vectors(service.plan, [predictor.needed], service.functions)
    messages = [made.decode(vector(service.plan, n, event_columns={"customer_id": n})) for n in range(6)]
    results = predictor.predict(made.events(messages, [0] * 6), rows)
    assert [type(result) for result in results] == [bytes] * 3 + [UnscorableError] + [bytes] * 2
    assert "no online store holds the key" in str(results[3])


def test_model_of_another_plan_is_refused(project: Project, tmp_path: Path) -> None:
    """A model whose training set came from other definitions is not served."""
    service = project.service("handbook")
    plan = service.plan
    register(tmp_path, plan, stumps([0.0] * len(plan.inputs)), digest="0" * 64)
    with pytest.raises(SettingError, match="trained on plan 000000000000"):
        load(service, Registry(tmp_path), scorer_config(ScorerSettings(), service.name, client={}), no_topic)


def test_model_with_an_input_that_the_plan_lacks_is_refused(project: Project, tmp_path: Path) -> None:
    """The plan has to give every input of the model."""
    service = project.service("handbook")
    plan = service.plan
    draft = admit(stumps([0.0]), plan, name=plan.service, created_at=2, inputs=plan.inputs[:1])
    tensor = msgspec.structs.replace(draft.manifest.signature.inputs[0], columns=("customer_spend__mean_365d",))
    signature = msgspec.structs.replace(draft.manifest.signature, inputs=(tensor,))
    manifest = msgspec.structs.replace(draft.manifest, signature=signature)
    made = Registry(tmp_path).register(msgspec.structs.replace(draft, manifest=manifest))
    Registry(tmp_path).set_alias(made.name, "production", made.version)
    with pytest.raises(DefinitionError, match="customer_spend__mean_365d"):
        load(service, Registry(tmp_path), scorer_config(ScorerSettings(), service.name, client={}), no_topic)
