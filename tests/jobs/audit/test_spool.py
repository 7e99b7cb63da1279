"""What an audit keeps on disk: each event once, by span, and the late rows of the windows of a span."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from features.times import Span
from jobs.audit.audit import ROWS_A_SPAN, spans
from jobs.audit.compare import HOUR_MS
from jobs.audit.ledger import Entry, Missed, Place
from jobs.audit.spool import Receipt, Refused, Spool
from schemas import Origin, Prediction
from schemas import Receipt as Told
from schemas.codec import encode


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty one."""
    with closing(Spool(tmp_path)) as made:
        yield made


def receipt(event: int | str, at: int, score: float = 0.5) -> Receipt:
    """A prediction as it lies on its topic."""
    told = Told(Origin("t", 0, 0), "p", "m", 1, "s", {}, {}, True, 1, 2, 3)
    return Receipt(str(event), at, 0, encode(Prediction(event, at, score, told)))


def test_an_event_is_served_once(spool: Spool) -> None:
    """A repeat after a restart is passed over, an event of another span is not of this one; ids may be text."""
    spool.add_receipts([receipt(2, 5), receipt("a", 5), receipt(2, 5, score=0.9), receipt(3, HOUR_MS)])
    assert [one.event_id for one in spool.served(Span(0, HOUR_MS))] == [2, "a"]
    assert spool.counts(HOUR_MS) == {0: 2, HOUR_MS: 1}
    assert spool.bounds() == (5, HOUR_MS)


def test_what_was_refused_and_then_served_counts_as_served(spool: Spool) -> None:
    """A dead letter of a repeat is no event without a receipt."""
    spool.add_receipts([receipt(1, 5)])
    spool.add_refused([Refused("1", 5), Refused("2", 5), Refused("2", 5)])
    assert spool.refused() == 1


def test_the_ledger_of_a_span_has_the_rows_of_its_windows(spool: Spool) -> None:
    """Of the places that are wanted; what they changed is counted over the whole range, a repeated entry once."""
    place, other = Place("s", "v", (7, "x")), Place("s", "v", (8, "x"))
    origins = [Origin("t", 0, number) for number in range(4)]
    entries = [Entry(place, origins[0], 100, 1.0), Entry(place, origins[1], 250, 2.0), Entry(place, origins[2], 900, 4.0)]
    spool.add_late([*entries, entries[0], Entry(other, origins[3], 250, 8.0)])
    assert spool.late_rows() == 4
    assert spool.ledger({place}, 100, Span(300, 400)) == {place: Missed([250], 7.0)}
    assert spool.ledger({place}, 100, Span(2_000, 3_000)) == {place: Missed([], 7.0)}
    assert spool.ledger(set(), 100, Span(300, 400)) == {}


def test_spans_are_bounded_by_history_and_by_what_was_served() -> None:
    """Hours are taken together up to so many events; those of which nothing was served are left out at the ends."""
    half = ROWS_A_SPAN // 2
    served = dict.fromkeys((1 * HOUR_MS, 2 * HOUR_MS, 5 * HOUR_MS), 1)
    history = {hour * HOUR_MS: half for hour in range(8)}
    found = list(spans(Span(HOUR_MS + 7, 8 * HOUR_MS), served, history))
    assert found == [Span(HOUR_MS + 7, 3 * HOUR_MS), Span(5 * HOUR_MS, 7 * HOUR_MS)]
    assert list(spans(Span(0, 1), {}, history)) == []
