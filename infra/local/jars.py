"""The Java side's jars: Kafka's broker, Flink's Kafka connector and our operator, fetched or built once by Maven.

In a checkout of the repository all lie in it, and the operator is built from its sources. An installed wheel holds the operator
as it was built; what is fetched lies in the user's cache, for a wheel's own folder may not be written to, or may be replaced.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from features.errors import StackError

POMS = Path(__file__).parent / "poms"
ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "jobs" / "operator"
MIN_JAVA = 17
FETCHED = {"broker": "broker", "connector": "flink"}
"""What is fetched, by its pom, and the name of its folder."""

OnStep = Callable[[str], None]


def ensure(on_step: OnStep = lambda step: None) -> None:
    """Fetch and build what is not there yet or older than its pom or sources; a second call returns at once.

    ``on_step`` is told what is being done, before it is done. Raises `StackError` without Java 17+ or, where something has to be
    made, without Maven.
    """
    java()
    for name in FETCHED:
        _fetch(name, on_step)
    _build_operator(on_step)


def places() -> dict[str, Path]:
    """Where the jars are, or will be: ``broker``, ``flink`` and ``operator``."""
    return {**{folder: _folder(name) for name, folder in FETCHED.items()}, "operator": OPERATOR / "headrace-operator.jar"}


def broker_classpath() -> str:
    """The broker's class path."""
    return f"{_filled('broker')}{os.sep}*"


def flink_jars() -> tuple[Path, ...]:
    """The jars for ``pipeline.jars``: the Kafka connector and the operator."""
    return (*sorted(_filled("connector").glob("*.jar")), operator_jar())


def operator_jar() -> Path:
    """Our Java operator."""
    jar = places()["operator"]
    if not jar.is_file():
        advice = (
            "run 'headrace setup'"
            if _in_checkout()
            else "this wheel was built without it: install one that 'make wheel' has built"
        )
        raise StackError(f"the stream job needs the operator's jar; {jar} is not there; {advice}")
    return jar


def java() -> str:
    """The java command: of JAVA_HOME where that is set, else the one on PATH. Raises `StackError` if it is older than 17."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = f"install a JDK {MIN_JAVA} or newer (Debian: apt install openjdk-17-jdk-headless) or set JAVA_HOME to one"
    if command is None or not os.access(command, os.X_OK):
        raise StackError(f"Kafka and Flink need Java {MIN_JAVA}; found no java {'in JAVA_HOME' if home else 'on PATH'}; {advice}")
    banner = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < MIN_JAVA:
        came = version[1] if version else "no version"
        raise StackError(f"Kafka and Flink need Java {MIN_JAVA}; {command} is {came}; {advice}")
    return command


def _in_checkout() -> bool:
    return (OPERATOR / "pom.xml").is_file()


def _folder(name: str) -> Path:
    """Where the jars of a pom are: of each of its versions apart in the user's cache, which several installations may share."""
    if _in_checkout():
        return ROOT / "infra" / "jars" / FETCHED[name]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "headrace" / f"{FETCHED[name]}-{_digest([_pom(name)])[:12]}"


def _pom(name: str) -> Path:
    return POMS / name / "pom.xml"


def _filled(name: str) -> Path:
    if not (_folder(name) / ".stamp").is_file():
        raise StackError(f"the {name}'s jars are fetched once; {_folder(name)} has none; run 'headrace setup'")
    return _folder(name)


def _fetch(name: str, on_step: OnStep) -> None:
    """The jars of a pom into its folder, which may be of several projects: one process at a time; the stamp is written last."""
    folder, wanted = _folder(name), _digest([_pom(name)])
    stamp = folder / ".stamp"
    if _says(stamp, wanted):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if _says(stamp, wanted):
            return
        on_step(f"fetching {FETCHED[name]} jars")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _maven(_pom(name), ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"])
        stamp.write_text(wanted)


def _says(stamp: Path, wanted: str) -> bool:
    return stamp.is_file() and stamp.read_text() == wanted


def _build_operator(on_step: OnStep) -> None:
    pom, jar, stamp = OPERATOR / "pom.xml", OPERATOR / "headrace-operator.jar", OPERATOR / "target" / ".stamp"
    if not _in_checkout():
        operator_jar()
        return
    wanted = _digest([pom, *sorted(file for file in (OPERATOR / "src" / "main").rglob("*") if file.is_file())])
    if jar.is_file() and _says(stamp, wanted):
        return
    on_step("building the operator")
    _maven(pom, ["-Dmaven.test.skip", "package"])
    unfinished = jar.with_suffix(f".{os.getpid()}")
    shutil.copyfile(OPERATOR / "target" / "headrace-operator.jar", unfinished)
    unfinished.replace(jar)
    stamp.write_text(wanted)


def _maven(pom: Path, goal: list[str]) -> None:
    command = shutil.which("mvn")
    if command is None:
        raise StackError("jars are fetched and built with Maven; found no mvn on PATH; install it (Debian: apt install maven)")
    done = subprocess.run([command, "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line]
        raise StackError(
            f"mvn {' '.join(goal)} -f {pom} failed; {lines[0] if lines else 'it printed nothing'}; fix that and try again"
        )


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()
