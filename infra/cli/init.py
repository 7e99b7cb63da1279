"""``headrace init``: a project to start from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from infra.cli.app import app

if TYPE_CHECKING:
    from infra.init.look import Look
    from infra.init.proposal import Days, Proposal, Wanted


@app.command(epilog="Example: headrace init DIR --from-kafka TOPIC --kafka localhost:9092")
def init(
    directory: Annotated[Path, typer.Argument(help="The project's folder, new or empty.", metavar="DIR", show_default=False)],
    from_kafka: Annotated[
        str | None, typer.Option(help="Propose the schema from this topic's newest events.", metavar="TOPIC", show_default=False)
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(help="Propose it from a .parquet, .csv or .jsonl file, the history.", metavar="FILE", show_default=False),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(help="Where Kafka is; none: the environment's.", metavar="HOST:PORT", show_default=False)
    ] = None,
    time: Annotated[str | None, typer.Option(help="The event time; none: guessed.", metavar="COLUMN", show_default=False)] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="The event's id; none: guessed.", metavar="COLUMN", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Whose events a window holds; none: guessed.", metavar="COLUMN", show_default=False)
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="What a model learns, 0 or 1; it is left out of the events.", metavar="COLUMN", show_default=False),
    ] = None,
) -> None:
    """Write a small project of one topic that runs as it is.

    Without options it has sample events. With both a topic and a file, the events are the topic's and the history is the file.
    """
    from infra.cli import show
    from infra.init import sample, write
    from infra.init.proposal import Wanted

    write.require_empty(directory)
    wanted = Wanted(time, event_id, key, label)
    if from_kafka or from_file:
        proposal, look = _proposal(directory, from_kafka, from_file, kafka, wanted)
        write.write(proposal, directory)
        _put_history(directory / proposal.history, from_file, look)
    else:
        _refuse_alone(kafka, wanted)
        proposal = sample.PROPOSAL
        write.write(proposal, directory)
        sample.write(directory)
    for line in _told(directory, proposal, from_file):
        show.out.print(line, markup=False)  # names are others'


def _refuse_alone(kafka: str | None, wanted: Wanted) -> None:
    if kafka or any((wanted.time, wanted.id, wanted.key, wanted.label)):
        raise SettingError("the sample is what it is; got an option that describes events; give --from-kafka or --from-file too")


def _proposal(directory: Path, topic: str | None, file: Path | None, kafka: str | None, wanted: Wanted) -> tuple[Proposal, Look]:
    """What is proposed, and what it is from. Nothing is written yet."""
    import msgspec

    from infra.init import files, look
    from infra.init.proposal import days_of, name_of, propose
    from infra.settings import load_settings

    settings = load_settings(directory, kafka={"bootstrap": kafka} if kafka else {})
    address = settings.kafka.bootstrap
    if topic and address is None:
        raise SettingError(
            f"a topic is read from Kafka; got --from-kafka {topic} and no address; "
            "give --kafka HOST:PORT, or set HEADRACE_KAFKA__BOOTSTRAP"
        )
    of_file = files.of_file(file) if file else None
    of_topic = look.of_topic(settings.kafka.client(address), topic) if topic and address else None
    found = look.of_both(of_file, of_topic, wanted.label) if of_file and of_topic else of_file or of_topic
    assert found is not None  # noqa: S101 - one of the two options is given
    named = topic or (file.stem if file else "")
    history = Path("data", name_of(named) + (file.suffix if file else ".jsonl"))
    made = propose(found, topic or name_of(named), str(history), wanted)
    days = days_of(*files.whole_days(file, made.time)) if file else None
    return msgspec.structs.replace(made, bootstrap=kafka, days=days), found


def _put_history(place: Path, file: Path | None, look: Look) -> None:
    """A link to the file, or the events that were read."""
    if file:
        place.symlink_to(file.absolute())
    else:
        place.write_bytes(b"".join(line + b"\n" for line in look.lines))


def _told(directory: Path, proposal: Proposal, file: Path | None) -> Iterator[str]:
    """What was written, what was guessed, what to do next."""
    name, days = proposal.name, proposal.days
    yield f"{directory}  a project of the topic {proposal.topic}, with the service {name}"
    if proposal.guessed:
        guessed = {"time": proposal.time, "id": proposal.id, "key": proposal.key}
        named = ", ".join(f"{role} {name}" for role, name in guessed.items() if role in proposal.guessed)
        yield f"guessed: {named}; check them in definitions.py"
    if proposal.left_out:
        names = (column.name if column.name.isprintable() else ascii(column.name) for column in proposal.left_out)
        yield f"left out: {', '.join(names)}; definitions.py says why"
    history = f"is a link to {file.absolute()}" if file else "holds the events" if proposal.looked_at else "holds sample events"
    yield f"history: {proposal.history} {history}"
    steps = [f"cd {shlex.quote(str(directory))}", "headrace plan"]
    if proposal.label and days:
        steps += [f"headrace train {name} {_days(days)}--promote production", "headrace up"]
    else:
        wanted = [] if proposal.label else ["say in headrace.toml what a model learns"]
        wanted += [] if days else ["give it history of more days"]
        steps += [f"{' and '.join(wanted)} (docs/own-stream.md)"]
    yield f"Next: {', '.join(steps)}"


def _days(days: Days) -> str:
    """The options of `headrace train`, without those that are its defaults."""
    said = {"days": days.train_days, "delay": days.delay, "test-days": days.test_days}
    return f"--from {days.train_from} " + "".join(f"--{name} {value} " for name, value in said.items() if value != 7)
