"""The store below a registry: files that one writer creates, whole, in a folder and on an S3 server."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import SettingError, StackError
from serving.models.store import open_store
from tests.support.s3 import TERSE, UNCONDITIONAL, new_bucket


def test_a_file_is_written_read_listed_and_deleted(root: Path | str) -> None:
    """Below the root and its folders, by paths with slashes."""
    store = open_store(root)
    assert store.paths() == store.paths("orders") == []
    assert store.create("orders/2/model.onnx", b"\0two")
    assert store.create("orders/10/model.onnx", b"ten")
    assert (store.read("orders/2/model.onnx"), store.paths("orders")) == (b"\0two", ["10/model.onnx", "2/model.onnx"])
    assert store.paths() == ["orders/10/model.onnx", "orders/2/model.onnx"]
    assert store.paths("order") == []
    assert store.read_all(["orders/2/model.onnx", "orders/10/model.onnx"]) == [b"\0two", b"ten"]
    store.replace("orders/2/model.onnx", b"other")
    store.replace("orders/3/new", b"new")
    assert (store.read("orders/2/model.onnx"), store.read("orders/3/new")) == (b"other", b"new")
    store.delete("orders/2/model.onnx")
    store.delete("orders/2/model.onnx")
    assert store.paths("orders") == ["10/model.onnx", "3/new"]
    for read in (lambda: store.read("orders/2/model.onnx"), lambda: store.read_all(["orders/3/new", "orders/9"])):
        with pytest.raises(FileNotFoundError):
            read()


def test_of_those_who_create_a_file_at_once_one_does(root: Path | str) -> None:
    """The others are told so, and its bytes are that one's."""
    stores = [open_store(root) for _ in range(5)]
    for number in range(3):
        path = f"log/{number}"
        with ThreadPoolExecutor(len(stores)) as pool:
            made = list(pool.map(lambda at, path=path: stores[at].create(path, b"%d" % at), range(len(stores))))
        assert made.count(True) == 1
        assert stores[0].read(path) == b"%d" % made.index(True)
    assert stores[0].paths() == [f"log/{number}" for number in range(3)]


def test_a_folder_holds_nothing_half_written(tmp_path: Path) -> None:
    """What is being written, or was given up, is no file of the store, and a writer leaves nothing of it."""
    store = open_store(tmp_path / "models")
    store.create("a/b", b"1")
    store.create("a/b", b"2")
    store.replace("a/c", b"3")
    assert sorted(path.name for path in (tmp_path / "models" / "a").iterdir()) == ["b", "c"]
    (tmp_path / "models" / "a" / ".building-x").write_bytes(b"half")
    assert store.paths() == ["a/b", "a/c"]
    assert open_store(f"file://{tmp_path}/models").paths() == ["a/b", "a/c"]


@pytest.mark.slow
@pytest.mark.usefixtures("s3_url")
def test_a_store_that_overwrites_is_refused_at_the_first_write() -> None:
    """Nothing is written there, and nothing is left of the attempt."""
    bucket = new_bucket(UNCONDITIONAL)
    store = open_store(f"s3://{bucket}/models")
    with pytest.raises(SettingError, match=rf"s3://{bucket}/models does not; use a folder, or a store with conditional writes"):
        store.create("orders/model.json", b"{}")
    assert store.paths() == []


@pytest.mark.slow
@pytest.mark.usefixtures("s3_url")
def test_a_server_that_refuses_without_saying_which_condition_is_understood() -> None:
    """MinIO answers 412 and no more, of which s3fs makes an OSError."""
    store = open_store(f"s3://{new_bucket(TERSE)}/models")
    assert [store.create("a", b"1"), store.create("a", b"2"), store.read("a")] == [True, False, b"1"]


@pytest.mark.usefixtures("s3_url")
def test_a_bucket_that_is_not_there_is_empty_and_takes_nothing() -> None:
    """Whoever writes there is told in one line."""
    store = open_store("s3://no-such-bucket/models")
    assert store.paths() == []
    with pytest.raises(StackError, match=r"s3://no-such-bucket/models gave FileNotFoundError: .*bucket does not exist; check"):
        store.create("a", b"1")


@pytest.mark.parametrize(
    ("url", "said"), [("nothing://models", "a registry is a folder, or a URL"), ("gs://b/m", "needs the library")]
)
def test_a_url_that_nothing_reads_is_refused(url: str, said: str) -> None:
    """Of no protocol, or of one whose library is not installed."""
    with pytest.raises(SettingError, match=said):
        open_store(url)


@pytest.mark.slow
def test_without_the_extra_a_line_says_what_to_install(tmp_path: Path) -> None:
    """The command line needs s3fs for an S3 registry alone."""
    program = "import sys; sys.modules['s3fs'] = None; from infra.cli import run; sys.exit(run())"
    (tmp_path / "headrace.toml").write_text('registry = "s3://bucket/models"\n')
    done = subprocess.run(
        [sys.executable, "-c", program, "models", "list", "--project", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: a registry on s3:// needs the library that reads it; it is not installed; pip install 'headrace[s3]'"
    ]
