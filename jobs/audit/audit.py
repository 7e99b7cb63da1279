"""A service audited: what its receipts say was served, against history, over any range of event times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs.columns import all_features
from features.plan import Plan
from features.service import Service
from features.times import Span, moment_text
from jobs.audit.compare import HOUR_MS, Tally
from jobs.audit.comparison import Comparison
from jobs.audit.ledger import entries_of, keys_of
from jobs.audit.rows import History
from jobs.audit.served import Served
from jobs.audit.spool import BATCH, Receipt, Refused, Spool
from jobs.audit.topics import OnRead, decoded, read, rows_of, written_at
from jobs.history.compute import Progress, compute
from jobs.history.files import connect, refusing
from jobs.history.places import Written
from schemas import FeatureVector, LateRow
from schemas.codec import decode_dead_letter, decode_features, decode_late_row, decode_prediction
from schemas.topics import DEAD_LETTERS, LATE_ROWS

ROWS_A_SPAN = 100_000
"""Events of a span, of history or served, whichever are more: their features are in memory. A span is an hour at least."""


Begins = Callable[[], Mapping[str, int]]
"""Gives, by source, the event time that the topics began with, of windows that are known to have begun empty; else nothing."""


class Audit(msgspec.Struct, frozen=True):
    """What an audit found. Times are UTC milliseconds."""

    service: str
    plan: str
    """The digest of the definitions that history was computed by."""
    start: int
    end: int
    """The range of event times; the end is not in it."""
    served: int
    """Events with a receipt."""
    without_receipt: int
    """Events with a feature vector, and a dead letter in place of a prediction."""
    unreadable: int
    """Records on the topic of predictions that are none."""
    never_served: int
    """Events of history with neither."""
    late_rows: int
    """Entries of the ledger whose rows may lie in a window of these events."""
    late_rows_gone: int
    """Of these, those whose row Kafka no longer has: they explain nothing, as their keys are not known."""
    found: Comparison


class Head(msgspec.Struct):
    """The part of a feature vector, or of a prediction, that says which event it is of."""

    event_id: int | str
    event_time: int


class Whole(msgspec.Struct):
    """The part of a feature vector that says whether its windows were whole."""

    event_id: int | str
    complete: bool


decode_whole = msgspec.json.Decoder(Whole).decode
decode_head = msgspec.json.Decoder(Head).decode


def audit(
    service: Service,
    client: Mapping[str, Any],
    span: Span,
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
    begins: Begins = dict,
) -> Audit:
    """Hold every receipt of the span against history; without an end of its own, the span ends with the first or last receipt.

    The receipts are read once, to disk; then the span is computed in parts of some 100,000 events. ``client`` is what a
    kafka-python client is given. ``begins`` is called once, where nothing else explains a difference.

    Raises `SettingError` where nothing was served, or history has none of it.
    """
    with TemporaryDirectory() as folder, closing(Spool(Path(folder))) as spool:
        unreadable = _read_receipts(service, client, span, spool, on_progress)
        whole = _whole(service, span, spool)
        late, gone = _read_ledger(service.plan, client, whole, spool, on_progress)
        history = _history_counts(service, whole, histories)
        tally = Tally(service.plan, service.functions, Vectors(service.plan, client).was_whole)
        served, counts, begins = 0, spool.counts(HOUR_MS), cache(begins)
        parts = list(spans(whole, counts, history))
        for number, part in enumerate(parts):
            if on_progress:
                on_progress(f"comparing {moment_text(part.start_ms or 0)[:10]}", number, len(parts))
            served += _compare(service, part, histories, spool, tally, begins)
        found, refused = tally.comparison, spool.refused()
        if not found.events:
            raise SettingError(
                f"an audit holds what was served against history, which has none of the {served:,} events that were served"
                f" from {moment_text(whole.start_ms or 0)}; bring it up to date, or name it with --history SOURCE=FILE"
            )
        return Audit(
            service=service.name,
            plan=service.plan.digest,
            start=whole.start_ms or 0,
            end=whole.end_ms or 0,
            served=served,
            without_receipt=refused,
            unreadable=unreadable,
            never_served=max(0, sum(history.values()) - found.events - refused),
            late_rows=late,
            late_rows_gone=gone,
            found=found,
        )


def spans(whole: Span, *counts: Mapping[int, int]) -> Iterator[Span]:
    """Parts of a span that have an event of the first of ``counts``, by hour, and no more than `ROWS_A_SPAN` of any, if they can.

    >>> hour = 3_600_000
    >>> list(spans(Span(5, 3 * hour), {0: 1, 2 * hour: ROWS_A_SPAN}, {0: 3}))
    [Span(start_ms=5, end_ms=3600000), Span(start_ms=7200000, end_ms=10800000)]
    """
    start, end = whole.start_ms or 0, whole.end_ms or 0
    first, sums = None, [0] * len(counts)
    last = start
    for hour in sorted({hour for some in counts for hour in some}):
        of_hour = [some.get(hour, 0) for some in counts]
        if first is not None and max(map(sum, zip(sums, of_hour, strict=True))) > ROWS_A_SPAN:
            yield Span(max(start, first), min(end, last))
            first, sums = None, [0] * len(counts)
        if first is None and not of_hour[0]:
            continue
        first = hour if first is None else first
        sums = [have + more for have, more in zip(sums, of_hour, strict=True)]
        last = hour + HOUR_MS
    if first is not None:
        yield Span(max(start, first), min(end, last))


def _compare(
    service: Service, part: Span, histories: Mapping[str, Written] | None, spool: Spool, tally: Tally, begins: Begins
) -> int:
    """Compare a part; gives the number of events that were served in it."""
    plan = service.plan
    served = spool.served(part)
    table = compute(service, wanted=all_features(plan), start_ms=part.start_ms, end_ms=part.end_ms, histories=histories)
    tally.add(
        table,
        served,
        lambda places: spool.ledger(places, plan.longest_ms, part),
        lambda: of_beginning(service, part, histories, begins()),
    )
    return len(served)


def of_beginning(
    service: Service, part: Span, histories: Mapping[str, Written] | None, begins: Mapping[str, int]
) -> pa.Table | None:
    """What `compute` gives of a part of the rows from ``begins`` on; None where no window of the part reaches further back."""
    plan, start = service.plan, part.start_ms or 0
    if not any(begins.get(stage.source, 0) > start + 1 - stage.longest_ms for stage in plan.windows):
        return None
    wanted = all_features(plan)
    return compute(service, wanted=wanted, start_ms=part.start_ms, end_ms=part.end_ms, histories=histories, begins=begins)


def _read_receipts(service: Service, client: Mapping[str, Any], span: Span, spool: Spool, on_progress: Progress | None) -> int:
    """The receipts of the span, and the vectors that had a dead letter instead; gives the number of records that are neither."""
    plan, unreadable = service.plan, 0
    # An event is not further ahead of the clock than rule 8 says, so its prediction was written no earlier than this.
    since = None if span.start_ms is None else max(0, span.start_ms - service.event_times.max_ahead_ms - HOUR_MS)

    def receipts() -> Iterator[Receipt]:
        nonlocal unreadable
        for record in read(client, plan.predictions_topic, since, told(on_progress, f"reading {plan.predictions_topic}")):
            head = decoded(decode_prediction, record.value)
            unreadable += head is None
            if head is not None and head.event_time in span:
                yield Receipt(str(head.event_id), head.event_time, record.partition, record.value)

    def refused() -> Iterator[Refused]:
        for record in read(client, DEAD_LETTERS.name, since, told(on_progress, f"reading {DEAD_LETTERS.name}")):
            letter = decoded(decode_dead_letter, record.value)
            ours = letter is not None and letter.origin.topic == plan.features_topic
            head = decoded(decode_head, letter.value) if letter is not None and ours else None
            if head is not None and head.event_time in span:
                yield Refused(str(head.event_id), head.event_time)

    spool.add_receipts(receipts())
    spool.add_refused(refused())
    return unreadable


def _whole(service: Service, span: Span, spool: Spool) -> Span:
    """The span with both ends. Raises `SettingError` where nothing was served in it."""
    found = spool.bounds()
    if found is None:
        raise SettingError(
            f"an audit is of what was served; {service.plan.predictions_topic} has no prediction of an event in the range; "
            "see 'headrace status', or change --from and --to"
        )
    first, last = found
    return Span(first if span.start_ms is None else span.start_ms, last + 1 if span.end_ms is None else span.end_ms)


def _read_ledger(
    plan: Plan, client: Mapping[str, Any], whole: Span, spool: Spool, on_progress: Progress | None
) -> tuple[int, int]:
    """The entries whose rows may lie in a window of the span; gives their number, and that of those whose row is gone."""
    near, read_in, known = Span((whole.start_ms or 0) - plan.longest_ms, whole.end_ms), 0, 0
    left = late_in(plan, client, near, on_read=told(on_progress, f"reading {LATE_ROWS.name}"))
    while some := list(islice(left, BATCH)):
        origins = {entry.origin for entry in some}
        rows = rows_of(client, origins, told(on_progress, "finding late rows"))
        found = list(entries_of(plan, some, rows))
        spool.add_late(found)
        read_in += len({(entry.origin, entry.view) for entry in some})
        known += len(found)
    return spool.late_rows() + read_in - known, read_in - known


def late_in(
    plan: Plan, client: Mapping[str, Any], span: Span, since: int | None = None, on_read: OnRead | None = None
) -> Iterator[LateRow]:
    """The ledger's entries of the plan's views whose rows are of ``span``, of those written at ``since`` or later."""
    views, topics = keys_of(plan), {source.name: source.topic for source in plan.sources}
    for record in read(client, LATE_ROWS.name, since, on_read):
        entry = decoded(decode_late_row, record.value)
        if entry is None or (entry.source, entry.view) not in views or topics[entry.source] != entry.origin.topic:
            continue
        if entry.event_time in span:
            yield entry


def vector_of(plan: Plan, client: Mapping[str, Any], one: Served) -> FeatureVector | None:
    """The feature vector that a receipt is of; None where Kafka no longer has it."""
    for record in written_at(client, plan.features_topic, one.partition, one.featured_at):
        head = decoded(decode_head, record.value)
        if head is not None and head.event_id == one.event_id:
            return decode_features(record.value)
    return None


class Vectors:
    """Whether the windows of events were whole, by their feature vectors: those that lie together are read together."""

    def __init__(self, plan: Plan, client: Mapping[str, Any]) -> None:
        self._plan, self._client = plan, client
        self._read: dict[int, dict[tuple[int | str, int], bool]] = {}
        """By partition, of the records that were read last: by event and Kafka's timestamp."""

    def was_whole(self, one: Served) -> bool:
        """A vector that Kafka no longer has excuses nothing."""
        wanted = one.event_id, one.featured_at
        if wanted not in self._read.get(one.partition, {}):
            self._read[one.partition] = dict(self._from(one))
        return self._read[one.partition].get(wanted, True)

    def _from(self, one: Served) -> Iterator[tuple[tuple[int | str, int], bool]]:
        """The vectors of a partition from that of ``one`` on."""
        for record in written_at(self._client, self._plan.features_topic, one.partition, one.featured_at):
            head = decoded(decode_whole, record.value)
            if head is not None:
                yield (head.event_id, record.timestamp), head.complete


def _history_counts(service: Service, whole: Span, histories: Mapping[str, Written] | None) -> dict[int, int]:
    """How many events the spine's history has, by hour."""
    history = History(service, histories or {})
    with connect(resources=service.resources) as connection:
        rows = history.rows(connection, service.plan.spine_source, whole)
        with refusing(connection, rows):
            found = connection.execute(
                f"SELECT {rows.moment} // {HOUR_MS} * {HOUR_MS}, count(*) FROM {rows.table} WHERE {rows.within} GROUP BY 1"
            ).fetchall()
    return {int(hour): int(count) for hour, count in found}


def told(on_progress: Progress | None, step: str) -> OnRead | None:
    """Progress of one step."""
    return None if on_progress is None else lambda done, total: on_progress(step, done, total)
