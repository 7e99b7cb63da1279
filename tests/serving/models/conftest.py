"""A registry's two kinds of root: a folder, and a path on an S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a registry may be."""
    if request.param == "folder":
        return tmp_path / "the models"
    url: str = request.getfixturevalue("s3_url")
    return url
