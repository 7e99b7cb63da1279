"""Whether something is a reason to retrain: an alarm, decay, or that it is time. And what stands against it now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from features.times import DAY_MS, day_of, moment_text
from infra.config import monitor_state
from infra.local import stack
from infra.retraining.attempts import Measured
from infra.retraining.once import learnt_until
from infra.settings import run_folder
from infra.train_settings import When
from serving.monitor.state import read_state

if TYPE_CHECKING:
    from infra.retraining.attempts import Attempts
    from infra.retraining.once import Request
    from infra.train_settings import RetrainSettings
    from jobs.training.split import Split
    from serving.models.manifest import Manifest

ORDER: tuple[When, ...] = ("drift", "schedule", "decay")
"""What is quickly seen is looked at first."""


class Reason(NamedTuple):
    """What one look found."""

    when: When
    due: bool
    text: str
    """With its figures."""
    key: str
    """What is new when this is: figures that grow with the clock are not in it."""


class Look(NamedTuple):
    """All that speaks for and against a retrain now."""

    reasons: list[Reason]
    against: str = ""
    """What stands against one that there is a reason for."""

    @property
    def due(self) -> bool:
        """Whether one begins."""
        return any(one.due for one in self.reasons) and not self.against

    @property
    def text(self) -> str:
        """The reasons, those that are due if any is, and what stands against them."""
        some = [f"for {one.when}: {one.text}" for one in self.reasons if one.due]
        none = [f"not for {one.when}: {one.text}" for one in self.reasons]
        return "; ".join([*(some or none), *([f"not now: {self.against}"] if self.against else [])])

    @property
    def key(self) -> str:
        """Equal for looks of which nothing new is to be said."""
        return "; ".join([f"{one.when} {one.due} {one.key}" for one in self.reasons] + [self.against])


class Looking(NamedTuple):
    """What is looked at."""

    request: Request
    production: Manifest
    split: Split
    """The newest matured days."""
    attempts: Attempts

    @property
    def section(self) -> RetrainSettings:
        """``[train.<service>.retrain]``."""
        return self.request.settings.train[self.request.of.name].retrain


def look(one: Looking, whens: Sequence[When]) -> Look:
    """What speaks for a retrain now, and against it; once something does, what takes long is not looked at."""
    reasons: list[Reason] = []
    for when in ORDER:
        if when in whens and not (when == "decay" and any(reason.due for reason in reasons)):
            reasons.append(LOOKS[when](one))
    return Look(reasons, _against(one) if any(reason.due for reason in reasons) else "")


def _against(one: Looking) -> str:
    """What stands against a retrain now; nothing: an empty text."""
    last, production, until = one.attempts.kept.last, one.production, learnt_until(one.split)
    learnt = production.trained_until
    if learnt is not None and learnt >= until:
        return f"{production.placed} learnt from days to before {day_of(learnt)}, and labels are due for no newer ones"
    if last is None:
        return ""
    over = last.began_at + round(one.section.cooldown_hours * DAY_MS / 24)
    if one.attempts.now_ms() < over:
        return f"retrain {last.id} began at {moment_text(last.began_at)} UTC, and the next may from {moment_text(over)} UTC on"
    if not last.failed and last.learnt_until >= until:
        return f"retrain {last.id} learnt from days to before {day_of(last.learnt_until)}, and labels are due for no newer ones"
    return ""


def _drift(one: Looking) -> Reason:
    settings, service = one.request.settings, one.request.of.name
    folder, window = stack.Folders(run_folder(one.request.where, settings)).monitor, settings.monitor.window
    state = read_state(monitor_state(folder, service, window), service, window)
    placed = one.production.placed
    alarms = [alarm for alarm in state.alarms if (alarm.model, alarm.version) == (placed.model, placed.version)]
    if not alarms:
        return Reason("drift", False, f"no alarm of {placed} is open", str(placed))
    more = f", and {len(alarms) - 1} more" if len(alarms) > 1 else ""
    return Reason("drift", True, f"alarm {alarms[0].id}, {alarms[0].text}{more}", ", ".join(sorted(one.id for one in alarms)))


def _schedule(one: Looking) -> Reason:
    until, production, last = learnt_until(one.split), one.production, one.attempts.kept.last
    known = [(production.trained_until, str(production.placed))] if production.trained_until is not None else []
    if last is not None and not last.failed:
        known.append((last.learnt_until, f"retrain {last.id}"))
    if not known:
        return Reason("schedule", True, f"nobody said what {production.placed} learnt from", str(until))
    before, who = max(known)
    days = (until - before) // DAY_MS
    text = (
        f"labels are due to learn from days to before {day_of(until)}, {days} days after those of {who}; it is time after "
        f"{one.section.every_days}"
    )
    return Reason("schedule", days >= one.section.every_days, text, str(until))


def _decay(one: Looking) -> Reason:
    """It reads all predictions, and so measures once for the newest matured day; of what it cannot yet, more may come."""
    from infra.predicted import predicted
    from jobs.outcomes.decay import decay_of

    where, settings, _, of, config, wanted = one.request
    placed, end_day, known = one.production.placed, one.split.end_day, one.attempts.kept.decay
    key = f"{placed}, {day_of(end_day * DAY_MS)}"
    if known is None or (known.placed, known.end_day) != (placed, end_day):
        found = decay_of(
            of,
            config,
            one.split,
            placed,
            one.production.metrics,
            predicted(where, settings, of.name, wanted.receipts),
            horizon_ms=settings.train[of.name].horizon_ms,
            histories=wanted.histories,
        )
        if isinstance(found, str):
            return Reason("decay", False, found, f"{key} not measured")
        known = one.attempts.kept.decay = Measured(placed, end_day, found.decayed, found.text)
        if not wanted.dry_run:
            one.attempts.save()
    return Reason("decay", known.decayed, known.text, key)


LOOKS: dict[When, Callable[[Looking], Reason]] = {"drift": _drift, "schedule": _schedule, "decay": _decay}
