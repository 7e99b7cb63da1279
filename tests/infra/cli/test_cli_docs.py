"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cli.docs import reference

pytestmark = pytest.mark.core

CLI_MD = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_reference_is_up_to_date() -> None:
    """A changed option changes the page: headrace docs-cli > docs/cli.md."""
    assert CLI_MD.read_text() == reference()
