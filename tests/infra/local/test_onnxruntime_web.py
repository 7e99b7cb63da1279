"""ONNX Runtime for browsers, from its package: which one is taken, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import SettingError
from infra.local import onnxruntime_web
from tests.serving.edge.pages import npm

pytestmark = pytest.mark.slow


def write_npm(folder: Path, text: str) -> None:
    """An npm of the test's."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "npm").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "what"),
    [
        (None, "found no npm on PATH; install it (Debian: apt install npm)"),
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "it says: npm error code ENOTFOUND; see 'npm config get registry'"),
        ('echo other > "$5/x.tgz"', "is the package with sha512-q0y+JrrtukXSzsBWE…; npm fetched one with sha512-"),
    ],
)
def test_onnxruntime_web_is_the_package_that_is_pinned(
    script: str | None, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm, without the registry, and with another package: one line, and nothing is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin" if script else str(tmp_path / "bin"))
    if script:
        write_npm(tmp_path / "bin", script)
    with pytest.raises(SettingError) as refused:
        onnxruntime_web.files()
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in (tmp_path / "cache" / "headrace").iterdir() if path.is_file()] in (
        [],
        [f".onnxruntime-web-{onnxruntime_web.VERSION}.lock"],
    )
    assert list((tmp_path / "cache" / "headrace" / f"onnxruntime-web-{onnxruntime_web.VERSION}").iterdir()) == []


def test_what_npm_says_is_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, whose registry is not there."""
    npm()
    given = {"registry": "http://127.0.0.1:9", "fetch_retries": "0", "cache": str(tmp_path / "npm")}
    for name, value in {
        "XDG_CACHE_HOME": str(tmp_path),
        **{f"npm_config_{name}": value for name, value in given.items()},
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=r"it says: npm .* ECONNREFUSED"):
        onnxruntime_web.files()


def test_a_damaged_cache_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is held against its sha256 before it is used."""
    npm()
    kept = onnxruntime_web.files()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "headrace" / f"onnxruntime-web-{onnxruntime_web.VERSION}"
    folder.mkdir(parents=True)
    for name, whole in kept.items():
        (folder / name).write_bytes(whole)
    assert onnxruntime_web.files() == kept
    (folder / "ort.wasm.bundle.min.mjs").write_bytes(b"other")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingError, match="found no npm"):
        onnxruntime_web.files()
