"""What commands show of texts that anybody may have written: a line each, which neither rich nor a screen obeys."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from infra.cli import explain, show
from tests.jobs.audit.test_pictures import explained

EVIL = "[/bold] [red]a\x1b[31mb\x9b2Jc\r\nerror: forged"


def test_a_text_is_shown_as_it_is() -> None:
    """But for what a screen obeys, ends of lines too."""
    with show.out.capture() as said:
        show.out.print(f"[bold]{show.escape(EVIL)}[/]")
    assert said.get() == "[/bold] [red]a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}2Jc  error: forged\n"


def test_a_narrow_screen_folds_what_is_long_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is never broken, though the line is then longer than the screen; a sentence is folded as far as it has room."""
    sentence = "a sentence of several words that says why"
    rows = [("scorer-of-orders", "[green]serving[/]", 7, sentence)]
    for width, lines in ((40, 2), (70, 2), (100, 1)):
        monkeypatch.setattr(show, "out", Console(highlight=False, soft_wrap=True, width=width))
        with show.out.capture() as said:
            show.table("", ("name", "state", "events", "why"), rows, right=("events",))
        head, *found = said.get().splitlines()
        assert head.split() == ["name", "state", "events", "why"]
        assert found[0].startswith("scorer-of-orders  serving       7  a sentence of")
        assert len(found) == lines
        assert " ".join(" ".join(line[35:].strip() for line in found).split()) == sentence


def test_a_log_has_no_lines_of_bars(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody looks there is nothing of them: each left an empty line."""
    with show.progress() as on_progress:
        on_progress("a step", 1, 2)
    with show.sending(10) as on_sent:
        on_sent(5)
    assert capsys.readouterr() == ("", "")


def test_an_event_is_explained_whatever_its_texts_are() -> None:
    """Its columns, its key, and the headers that whoever published it gave its record."""
    event = explained()
    (windows,) = event.windows
    hostile = msgspec.structs.replace(
        event,
        event={"id": 4, "text": EVIL},
        headers={EVIL: EVIL},
        windows=[msgspec.structs.replace(windows, key={"key": EVIL})],
    )
    with show.out.capture() as said:
        explain._print(hostile, 12)
    assert not {"\x1b", "\x9b", "\r"} & set(said.get())
    assert not [line for line in said.get().splitlines() if line.startswith("error: forged")]
    assert said.get().count("[/bold] [red]a") >= 4
