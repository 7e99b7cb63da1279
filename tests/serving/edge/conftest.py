"""One project and one bundle for all tests here: none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.serving.edge import bundles, pages
from tests.support.chromium import BLANK, launched, served


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model and a history."""
    return bundles.project(tmp_path_factory.mktemp("edge") / "num")


@pytest.fixture(scope="session")
def bundle(project: Path) -> Path:
    """Its bundle."""
    return bundles.export(project, project.parent / "bundle")


@pytest.fixture(scope="session")
def lines(project: Path) -> list[str]:
    """Its events, a line each."""
    return bundles.lines(project)


@pytest.fixture(scope="session")
def both(project: Path) -> Path:
    """The bundle for Python and for a browser."""
    pages.npm()
    return bundles.export(project, project.parent / "both", "--runner", "both")


@pytest.fixture(scope="package")  # while it is open, this thread can run no other event loop
def chromium() -> Iterator[Browser]:
    """A Chromium that keeps nothing."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def js(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pages.Harness]:
    """The runner's modules in a page."""
    folder = pages.harness(tmp_path_factory.mktemp("modules"))
    with served(folder) as address, pages.opened(chromium, f"{address}/{BLANK}") as page:
        yield pages.Harness(page, folder)


@pytest.fixture(scope="module")
def address(both: Path) -> Iterator[str]:
    """Where the bundle for both is served."""
    with served(both) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """Its page, in a context of its own, where nothing is kept; a runner is opened by the test."""
    context = chromium.new_context()
    with pages.opened(context, f"{address}/{BLANK}") as found:
        yield found
    context.close()


@pytest.fixture(scope="module")
def expected(both: Path, lines: list[str]) -> list[dict[str, Any]]:
    """What the Python runner says of the same events."""
    return bundles.said(bundles.bare(both, "--whole-from", "ever", stdin="\n".join(lines)))
