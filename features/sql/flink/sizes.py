"""What Kafka takes of an event on its way out: in feature vectors, and in a dead letter.

A record that Kafka refuses would stop the job, and stop it again after every restart. So the source measures the texts of an
event; all else in a vector is short, and is counted here at its widest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from features.errors import SettingError
from features.inputs.columns import window_types
from features.job import JobPlan
from features.plan import Plan
from features.sql.flink.options import JobOptions
from schemas import topics

VALUE_BYTES = 41
"""The widest value but a text is a decimal of 38 digits; a text is two quotes, or null, and what is measured."""
NAME_BYTES = len('"":,')
"""What a field's name takes beside itself."""
FIXED_BYTES = 512
"""What every vector has, beside what its event and features have: names, plan, origin without its topic, times."""


def longest_vector(plan: Plan, options: JobOptions) -> int:
    """The longest record on the topic of a service's feature vectors."""
    return longest_record(topics.features(plan.service), options)


def longest_dead_letter(options: JobOptions) -> int:
    """The longest record on the topic of dead letters."""
    return min(options.longest.get(options.dead_letters, topics.DEAD_LETTERS.longest), topics.LONGEST_BYTES)


def longest_record(topic: topics.Topic, options: JobOptions) -> int:
    """The longest record that is written to ``topic``, one of ours."""
    return min(options.longest.get(topic.name, topic.longest), topics.LONGEST_BYTES)


def vector_key(plan: Plan) -> tuple[str, ...]:
    """The columns of the key of a service's feature vectors: of its first windows over the spine, else the event id."""
    return next((stage.key for stage in plan.windows if stage.source == plan.spine), (plan.spine_source.event_id,))


def room_for_texts(job: JobPlan, options: JobOptions) -> int:
    """Bytes that the texts of an event of the spine may take in a vector of any of the job's services."""
    return min(_room(plan, options) for plan in job.plans)


def texts_in_vectors(job: JobPlan) -> list[str]:
    """The spine's columns of text, each as often as it is in a vector and its key."""
    texts = {column.name for column in job.spine_source.columns if column.type.kind == "string"}
    counts: Counter[str] = Counter()
    for plan in job.plans:
        counts |= Counter(name for name in _texts(plan) if name in texts)
    return sorted(counts.elements())


def _texts(plan: Plan) -> Iterable[str]:
    spine = plan.spine_source
    return [*(column.name for column in spine.columns), spine.event_id, *vector_key(plan)]


def _room(plan: Plan, options: JobOptions) -> int:
    longest = longest_vector(plan, options)
    found = topics.room(longest) - _rest(plan)
    if found <= 0:
        raise SettingError(
            f"a feature vector of service '{plan.service}' takes {_rest(plan)} bytes beside its texts; topic "
            f"'{plan.features_topic}' has max.message.bytes={longest}; raise that, or choose fewer features"
        )
    return found


def _rest(plan: Plan) -> int:
    """Bytes of the widest vector of a service whose event has no text, with its key."""
    spine = plan.spine_source
    names = [column.name for column in spine.columns] + [feature.name for feature in plan.window_features]
    names += plan.views_of_windows
    lists = sum(kind.length for kind in window_types(plan).values())
    values = (len(names) + lists + len(vector_key(plan))) * (VALUE_BYTES + 1)
    return FIXED_BYTES + 2 * len(spine.topic.encode()) + sum(len(name.encode()) + NAME_BYTES for name in names) + values
