"""Links between the documents lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_its_file_and_its_heading(page: Path) -> None:
    """Of those within the repository."""
    assert list(broken(page)) == []


@pytest.mark.slow
def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    """A file, and a heading, that are not there; not what stands as code."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n[a](#one-two-three) [b](gone.md) [c](page.md#gone) [d](page.md) `[e](gone)` [f](https://x.y)"
    )
    assert list(broken(page)) == ["gone.md", "page.md#gone"]


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in LINK.findall(CODE.sub("`", page.read_text())):
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not link.startswith(("http://", "https://", "mailto:")) and not (
            target.exists() and (not heading or heading in headings(target))
        ):
            yield link


@cache
def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title.replace("&lt;", "<").replace("&gt;", ">"))
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(next(a for n in range(99) if (a := f"{anchor}-{n}" if n else anchor) not in found))
    return found
