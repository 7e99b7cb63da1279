"""Where a registry's files lie: in a folder, or below a URL of an object store that fsspec knows.

Both give what the registry stands on: a file is created whole and by one writer only, or replaced whole. Paths are relative to
the root, with slashes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from features.disk import sync_folder, write_synced
from features.errors import SettingError, StackError

HIDDEN = ".building-"
"""Begins the names of files that are being written beside their place."""
PROBE = ".conditional-"
"""Begins the names of objects that try whether the store creates conditionally."""
TRIES = 10
"""How often a creation is tried that another one was in the way of."""
S3 = ("s3", "s3a")
TAKEN = ("PreconditionFailed", "412")
"""S3's codes for an object that is there: not of every server does s3fs 2026.9 make a FileExistsError."""
CONFLICT = ("ConditionalRequestConflict", "409")
"""Another conditional put of the same object is under way: try again."""


class Store(Protocol):
    """Files below a root."""

    def read(self, path: str) -> bytes:
        """A file's bytes; raises `FileNotFoundError` where there is none."""

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """The bytes of several files, in their order; raises `FileNotFoundError` where one is missing."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a new file, whole; False where there is one, which stays as it is. Of several writers one is told True."""

    def replace(self, path: str, content: bytes) -> None:
        """Write a file, whole; a reader sees the old bytes or the new."""

    def delete(self, path: str) -> None:
        """Remove a file, if it is there."""

    def paths(self, folder: str = "") -> list[str]:
        """The files below a folder, at any depth, relative to it and in order; none where there is no folder."""


def open_store(root: Path | str) -> Store:
    """The store at a folder or a URL. Raises `SettingError` where nothing installed here can read such a URL."""
    if isinstance(root, Path):
        return FolderStore(root)
    protocol, found, rest = root.partition("://")
    if not found:
        return FolderStore(Path(root))
    if protocol in ("file", "local"):
        return FolderStore(Path(rest))
    return UrlStore(root)


class FolderStore:
    """Files in a folder of a file system with hard links, which may be shared by several machines."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        """See `Store`."""
        return (self.root / path).read_bytes()

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """See `Store`."""
        return [self.read(path) for path in paths]

    def create(self, path: str, content: bytes) -> bool:
        """See `Store`. A link to a name that is taken fails; a rename would replace what is there."""
        with self._beside(path, content) as building:
            try:
                os.link(building, self.root / path)
            except FileExistsError:
                return False
        return True

    def replace(self, path: str, content: bytes) -> None:
        """See `Store`."""
        with self._beside(path, content) as building:
            building.replace(self.root / path)

    def delete(self, path: str) -> None:
        """See `Store`."""
        file = self.root / path
        file.unlink(missing_ok=True)
        if file.parent.is_dir():
            sync_folder(file.parent)

    def paths(self, folder: str = "") -> list[str]:
        """See `Store`."""
        top = self.root / folder
        found = []
        for at, folders, files in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [(Path(at) / name).relative_to(top).as_posix() for name in files if not name.startswith(".")]
        return sorted(found)

    @contextmanager
    def _beside(self, path: str, content: bytes) -> Iterator[Path]:
        """A file with the content, on disk, beside the place that it is meant for."""
        folder = (self.root / path).parent
        _make(folder)
        building = folder / f"{HIDDEN}{uuid.uuid4().hex}"
        try:
            write_synced(building, content)
            yield building
        finally:
            building.unlink(missing_ok=True)
        sync_folder(folder)


class UrlStore:
    """Objects below a URL, ``s3://bucket/path`` say; its library reads the credentials from the environment."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = _open(url)
        self._creates = False

    def read(self, path: str) -> bytes:
        """See `Store`."""
        with self._errors(FileNotFoundError):
            content: bytes = self._files.cat_file(self._at(path))
        return content

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """See `Store`. All at once: an object store takes tens of milliseconds for each."""
        places = [self._at(path) for path in paths]
        with self._errors(FileNotFoundError):
            found = self._files.cat(places) if places else {}
        return [found[place] for place in places]

    def create(self, path: str, content: bytes) -> bool:
        """See `Store`. Raises `SettingError` where the store would overwrite what is there, as writers would each other."""
        if not self._creates:
            self._check_creation()
            self._creates = True
        return self._create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        """See `Store`."""
        with self._errors():
            self._files.pipe_file(self._at(path), content)

    def delete(self, path: str) -> None:
        """See `Store`."""
        with suppress(FileNotFoundError), self._errors(FileNotFoundError):
            self._files.rm_file(self._at(path))

    def paths(self, folder: str = "") -> list[str]:
        """See `Store`."""
        top = self._at(folder).rstrip("/")
        found: list[str] = []
        with suppress(FileNotFoundError), self._errors(FileNotFoundError):  # no such bucket, or no such folder
            found = self._files.find(top)
        names = (name.removeprefix(top).lstrip("/") for name in found)
        return sorted(name for name in names if name and not any(part.startswith(".") for part in name.split("/")))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _create(self, path: str, content: bytes) -> bool:
        """The store's conditional put (``If-None-Match: *``); the store may ask to try again where two come at once."""
        for _ in range(TRIES):
            try:
                with self._errors(FileExistsError, NotImplementedError, TypeError):
                    self._files.pipe_file(self._at(path), content, mode="create")
            except FileExistsError:
                return False
            except StackError as error:
                if _code(error.__cause__) in TAKEN:
                    return False
                if _code(error.__cause__) in CONFLICT:
                    continue
                raise
            return True
        raise StackError(f"a registry's files are created by one writer at a time; {self.url} was busy {TRIES} times; try again")

    def _check_creation(self) -> None:
        """Create an object twice: the second time must fail, and not only because the library looked first."""
        if self._files.async_impl or type(self._files).pipe_file is not _looks_first():
            path = PROBE + uuid.uuid4().hex
            with suppress(NotImplementedError, TypeError):  # of libraries that know no mode
                created, again = self._create(path, b"1"), self._create(path, b"2")
                self.delete(path)
                if created and not again:
                    return
        raise SettingError(
            f"a registry's store creates an object only where there is none, so that two writers cannot overwrite each other; "
            f"{self.url} does not; use a folder, or a store with conditional writes (If-None-Match), as S3 has"
        )

    @contextmanager
    def _errors(self, *expected: type[Exception]) -> Iterator[None]:
        """Within, what the store says is a `StackError`, save what is expected."""
        try:
            yield
        except expected:
            raise
        except Exception as error:  # botocore's errors, and those of other libraries, have no common type
            raise StackError(
                f"a registry's store can be reached and lets its user in; {self.url} gave {type(error).__name__}: {error}; "
                "check the URL, and the credentials in the environment and their rights"
            ) from error


def _code(error: BaseException | None) -> str:
    """S3's own code, of an error of botocore's or of what s3fs made of it."""
    response = getattr(error, "response", None) or getattr(getattr(error, "__cause__", None), "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _looks_first() -> object:
    """fsspec's own ``pipe_file``: it looks whether the file is there, and then writes; another may write between the two."""
    from fsspec.spec import AbstractFileSystem

    return AbstractFileSystem.pipe_file


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, without a cache of listings, and the root in it."""
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    options = {"max_concurrency": 1} if protocol in S3 else {}  # of s3fs: a read is one request, not two
    try:
        files, root = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        extra = "pip install 'headrace[s3]'" if protocol in S3 else str(error)
        raise SettingError(f"a registry on {protocol}:// needs the library that reads it; it is not installed; {extra}") from None
    except ValueError as error:
        raise SettingError(f"a registry is a folder, or a URL as s3://bucket/path; got '{url}': {error}; change it") from None
    return files, str(root).rstrip("/")


def _make(folder: Path) -> None:
    """The folder and those above it, on disk."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
