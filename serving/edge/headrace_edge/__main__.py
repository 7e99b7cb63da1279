"""``python run.py`` in a bundle: JSON lines of events in, JSON lines of predictions out."""

from __future__ import annotations

import argparse
import fcntl
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO

from . import bundle, state
from .bundle import Bundle
from .device import EVER, FIRST, Device
from .errors import EdgeError
from .outbox import Outbox
from .stop import Stop
from .windows import Bounds

STATE, OUTBOX, LOCK = "state.json", "outbox", "lock"
REFUSED, OF_A_SIGNAL = 2, 128
LONGEST = 1_048_576
"""Bytes of a line: of a longer one, which Kafka would not take either, only so many are ever in memory."""
TOO_LONG = "…".encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; gives its exit code."""
    try:
        return _run(_parser().parse_args(arguments))
    except EdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(
            f"error: the runner reads and writes its files; {what}{error.strerror or error}; what was given out is kept\n"
        )
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before the first event\n")
        return OF_A_SIGNAL + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Predict events, a JSON object a line, with the windows and the model of this bundle.",
        epilog="Example: tail -F events.jsonl | python run.py --state state > predictions.jsonl",
    )
    parser.add_argument("--bundle", type=Path, default=Path(__file__).parents[1], help="the bundle's folder; else that of run.py")
    parser.add_argument("--events", default="-", metavar="FILE", help="the events; else standard input")
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="keep windows and outbox here; else nothing outlives the runner"
    )
    parser.add_argument("--rows", type=_above_0, default=10_000, help="rows a key that windows keep at most (%(default)s)")
    parser.add_argument("--keys", type=_above_0, default=10_000, help="keys that windows keep at most (%(default)s)")
    parser.add_argument("--ids", type=_above_0, default=10_000, help="newest events that are known when repeated (%(default)s)")
    parser.add_argument(
        "--whole-from",
        type=_whole_from,
        default=FIRST,
        metavar="WHEN",
        help="from when on no event is missing: 'first' event (default), 'ever' (there were none before), or UTC milliseconds",
    )
    parser.add_argument("--save-every", type=_above_0, default=10_000, help="events between two saved states (%(default)s)")
    parser.add_argument("--sync", action="store_true", help="wait for the disk after each event: it outlives a loss of power")
    parser.add_argument("--fill", action="store_true", help="only fill the windows: no predictions, nothing in the outbox")
    parser.add_argument("--check", action="store_true", help="only replay the golden vectors")
    return parser


def _run(options: argparse.Namespace) -> int:
    found = bundle.read(options.bundle)
    replayed = found.check()
    if options.check:
        sys.stdout.write(f"{replayed.vectors} golden vectors, {replayed.values} values of windows: all as they should be\n")
        return 0
    if options.fill and options.state is None:
        raise EdgeError("--fill fills windows for a later run; got no --state; add --state DIR")
    stop = Stop()
    with _events(options.events) as file:
        if options.state is None:
            device = _device(found, options, None)
            with stop.heard():
                _predict(device, stop.lines(_lines(file)), sys.stdout.buffer)
            return _ended(stop, "nothing is kept without --state")
        with _alone(options.state):
            outbox, device = _restored(found, options)
            with stop.heard():
                lines = stop.lines(_lines(file))
                if options.fill:
                    return _filled(found, options, device, outbox, lines, stop)
                for some in _batches(lines, options.save_every):
                    _predict(device, some, sys.stdout.buffer)
                    _save(found, options, device, outbox)
            return _ended(stop, "every event that was taken is in the outbox and the saved state")


def _ended(stop: Stop, said: str) -> int:
    """The exit code at the end of the input: SIGTERM is how a service is told to end, so it ended as it should."""
    if stop.signal != signal.SIGINT:
        return 0
    sys.stderr.write(f"interrupted: {said}\n")
    return OF_A_SIGNAL + signal.SIGINT


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within, no other runner has the state; a runner that is killed no longer has it. Raises `EdgeError` where one has."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EdgeError(f"a state has one runner; another one has {folder}; end it, or name another --state DIR") from None
        yield


def _device(found: Bundle, options: argparse.Namespace, outbox: Outbox | None) -> Device:
    bounds = Bounds(options.rows, options.keys)
    whole_from = FIRST if options.fill else options.whole_from  # which holds once the windows are filled
    kept = {"whole_from": whole_from, "ids": options.ids, "outbox": outbox}
    return Device(found.plan, found.session, found.functions, bounds, **kept)


def _restored(found: Bundle, options: argparse.Namespace) -> tuple[Outbox, Device]:
    """As it was when the runner ended, or was killed."""
    saved = state.load(options.state / STATE, found.id)
    first = saved["outbox"] if saved else 1
    outbox = Outbox(options.state / OUTBOX, first, options.sync)
    device = _device(found, options, outbox)
    if saved:
        device.restore(saved["device"])
    unsaved = list(outbox.since(first))
    for line in unsaved:
        device.retake(line)
    is_other = saved is None or device.whole_from != saved["device"]["whole_from"]
    if unsaved or is_other:  # what a killed runner left is not to grow; from the first moment on a state is of its bundle
        _save(found, options, device, outbox)
    return outbox, device


def _save(found: Bundle, options: argparse.Namespace, device: Device, outbox: Outbox) -> None:
    number = outbox.next()
    state.save(options.state / STATE, found.id, {"outbox": number, "device": device.save()})


def _events(written: str) -> IO[bytes]:
    if written == "-":
        return sys.stdin.buffer
    try:
        return Path(written).open("rb")
    except OSError as error:
        raise EdgeError(f"--events is a file of JSON lines; {error}; name one that is there") from None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines, each as soon as it comes; of one longer than `LONGEST` the beginning, which is no JSON."""
    while line := file.readline(LONGEST + 1):
        part = line
        while part and not part.endswith(b"\n"):
            part = file.readline(LONGEST)
        yield line if len(line) <= LONGEST or line.endswith(b"\n") else line + TOO_LONG


def _batches(lines: Iterator[bytes], size: int) -> Iterator[Iterable[bytes]]:
    """The lines in parts, each as soon as it comes."""
    for first in lines:
        yield chain([first], islice(lines, size - 1))


def _predict(device: Device, lines: Iterable[bytes], out: IO[bytes]) -> None:
    for source, text in _sources_and_texts(device, lines):
        said = device.take(source, text)
        if said is not None:
            out.write(json.dumps(said, separators=(",", ":")).encode() + b"\n")
            out.flush()


def _filled(
    found: Bundle, options: argparse.Namespace, device: Device, outbox: Outbox, lines: Iterable[bytes], stop: Stop
) -> int:
    """Fill the windows, wholly or not at all: taken again, events older than the ids that are known would count twice."""
    taken, refused = device.taken, 0
    for source, text in _sources_and_texts(device, lines):
        refused += device.take(source, text, fill=True) is not None
    if stop.signal:
        sys.stderr.write("interrupted: windows are filled by a whole file; the state is as it was before; fill them again\n")
        return OF_A_SIGNAL + stop.signal
    device.hear(options.whole_from)
    _save(found, options, device, outbox)
    sys.stderr.write(f"{device.taken - taken} events fill the windows, {refused} were refused\n")
    return 0


def _sources_and_texts(device: Device, lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """``{…}`` is an event of the spine, ``SOURCE<TAB>{…}`` one of any source; a blank line is none."""
    for line in lines:
        if line.strip():
            text = line.decode(errors="surrogateescape").strip()  # what is no UTF-8 is refused as it is read
            source, tab, event = text.partition("\t")
            yield (source, event) if tab and not source.startswith("{") else (device.plan.spine, text)


def _above_0(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of 1 or more; got {text}")
    return int(text)


def _whole_from(text: str) -> str | int:
    if text in (FIRST, EVER):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{FIRST}', '{EVER}' or UTC milliseconds; got {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
