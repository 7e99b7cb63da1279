"""Pictures as files: PNG, SVG, or one page of HTML with the drawing in it. The one module that needs the extra ``plot``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from features.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, VECTOR, PIXELS = ".html", ".svg", ".png"
KINDS = (PAGE, VECTOR, PIXELS)
STYLE: Any = {
    "svg.hashsalt": "headrace",
    "svg.fonttype": "none",  # text stays text: it can be found and copied
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a dollar in a user's text is a dollar
}
CSS = """
body { font: 14px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: .5rem 0; } th { text-align: left; color: #6b7280; font-weight: normal; }
th, td { padding: .15rem .8rem .15rem 0; vertical-align: top; border-bottom: 1px solid #e5e7eb; }
.bad { color: #b91c1c; } pre { white-space: pre-wrap; }
"""


class Table(NamedTuple):
    """A table of a page; every cell is text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def require() -> None:
    """Raises `SettingError` where nothing can be drawn."""
    if find_spec("matplotlib") is None:
        raise SettingError("a picture needs the extra: pip install 'headrace[plot]' (missing: matplotlib)")


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, in our style, that belongs to no window."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def write(out: Path, drawing: Figure, title: str, tables: Sequence[Table] = (), texts: Sequence[str] = ()) -> None:
    """Write the picture; a page has the title, ``texts`` as paragraphs, the drawing, and the tables. It is there whole or not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name[-100:]}.{os.getpid()}")
    try:
        if out.suffix == PAGE:
            unfinished.write_text(page(title, texts, _inline(drawing), tables), encoding="utf-8")
        else:
            _save(drawing, unfinished, out.suffix[1:])
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)


def page(title: str, texts: Sequence[str], svg: str, tables: Sequence[Table]) -> str:
    """One page that needs no other file; every text is escaped."""
    parts = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">', f"<title>{escape(title)}</title>"]
    parts += [f"<style>{CSS}</style></head><body>", f"<h1>{escape(title)}</h1>", *(f"<p>{escape(text)}</p>" for text in texts)]
    parts += [svg, *map(_table, tables), "</body></html>"]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _inline(drawing: Figure) -> str:
    """The drawing as an element of a page: without what makes it a document of its own."""
    written = BytesIO()
    _save(drawing, written, "svg")
    return re.sub(r"^.*?(?=<svg)", "", written.getvalue().decode(), count=1, flags=re.DOTALL)


def _save(drawing: Figure, to: Any, kind: str) -> None:
    unsaid = ("Date", "Creator", "Format", "Type") if kind == "svg" else ("Software",)  # equal values, equal file
    metadata = dict.fromkeys(unsaid)
    drawing.savefig(to, format=kind, metadata=metadata, dpi=150)
