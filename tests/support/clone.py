"""A copy of the repository as a clone has it, and Python environments of their own beside the tests'."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = ("infra/jars", "jobs/operator/headrace-operator.jar", "jobs/operator/target")
"""What `headrace setup` has made here, and need not make again."""
SCRIPT = "#!/bin/sh\nexec '{python}' -c 'from infra.cli import main; main()' \"$@\"\n"
"""The path of a Python may have a space, which a line with #! cannot hold."""


def clone(folder: Path) -> Path:
    """The files that git has or would take, in ``folder``."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def set_up(folder: Path) -> None:
    """What `make setup` does in a clone: jars, and an environment with the clone's packages."""
    for name in MADE:
        (folder / name).symlink_to(ROOT / name)
    python = environment(folder / ".venv", folder, pip=False)
    _script(python.with_name("headrace"), python)


def environment(folder: Path, *packages: Path, pip: bool = True) -> Path:
    """The Python of a new environment with what this one has, but for Headrace, which is in ``packages`` or comes later."""
    options = [] if pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(folder)], check=True)
    python = folder / "bin" / "python"
    places = "\n".join([*map(str, packages), sysconfig.get_path("purelib")])  # an editable install's .pth there is not read
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "shared.pth").write_text(places + "\n")
    return python


def scripts(folder: Path) -> str:
    """A PATH that finds `headrace`, as these tests run it, in ``folder``."""
    folder.mkdir()
    _script(folder / "headrace", Path(sys.executable))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def _script(file: Path, python: Path) -> None:
    file.write_text(SCRIPT.format(python=python))
    file.chmod(0o755)
