"""Whose stack a run folder holds: the project's that it was started in, also when that is renamed, and not a copy's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from features.disk import keep
from features.errors import StackError
from infra.local.files import read_json
from infra.local.stack.folders import Folders
from infra.settings import Settings, run_folder


class Place(msgspec.Struct, frozen=True):
    """A folder: renamed, it keeps its inode; copied, it gets another."""

    path: str
    device: int
    inode: int

    def is_at(self, folder: Path) -> bool:
        """Whether ``folder`` is this one. A device's number may change when the machine starts again, hence the path."""
        return self.path == str(folder.resolve()) or self._is_inode_of(folder)

    @property
    def is_there(self) -> bool:
        """Whether it is still where it was."""
        return self._is_inode_of(Path(self.path))

    def _is_inode_of(self, folder: Path) -> bool:
        try:
            found = folder.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


class Owner(msgspec.Struct, frozen=True):
    """What owner.json holds."""

    project: Place
    run: Place
    """The run folder itself: two projects may have been given the same."""


def other_owner(project: Path, folders: Folders) -> Owner | None:
    """Whose stack the run folder holds where it is another project's, which is still there; else None.

    One whose project is gone was moved to another disk, or outlived it: who has the folder has the stack.
    """
    owner = recorded_owner(folders)
    return owner if owner and not owner.project.is_at(project) and owner.project.is_there else None


def other_stack(project: Path, settings: Settings) -> str | None:
    """Whose stack the project's run folder holds, and what to do, where it is another project's."""
    folders = Folders(run_folder(project, settings))
    other = other_owner(project, folders)
    return whose(other, folders) if other else None


def refuse_others(project: Path, folders: Folders) -> None:
    """Raise `StackError` where the run folder holds another project's stack."""
    other = other_owner(project, folders)
    if other:
        raise StackError(whose(other, folders))


def whose(other: Owner, folders: Folders) -> str:
    """The rule, whose the stack is, and what to do."""
    if other.run.is_at(folders.run):
        return (
            f"a stack belongs to the folder that it was started in; {folders.run} is in use by {other.project.path}; "
            "set run_dir to a folder of this project's own"
        )
    return (
        f"a stack belongs to the folder that it was started in; {folders.run} is a copy of the one of {other.project.path}; "
        "'headrace down --wipe' here deletes what was copied and leaves that one alone; then 'headrace up' starts one of its own"
    )


def moved_from(folders: Folders, project: Path) -> str | None:
    """The folder that the project was in when its stack was started last, where it is another by now."""
    owner = recorded_owner(folders)
    return owner.project.path if owner and owner.project.path != str(project.resolve()) else None


def take(project: Path, folders: Folders) -> None:
    """Record that the run folder is this project's."""
    keep(folders.owner, Owner(_place(project), _place(folders.run)))


def recorded_owner(folders: Folders) -> Owner | None:
    """Whose the run folder was last; None where that is not known."""
    return read_json(folders.owner, Owner)


def _place(folder: Path) -> Place:
    found = folder.stat()
    return Place(str(folder.resolve()), found.st_dev, found.st_ino)
