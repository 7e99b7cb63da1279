"""What has a scheduler run a command each day: a line for cron, a timer for systemd, a CronJob for Kubernetes.

Headrace has no scheduler. A command's words are quoted as the program reads them that runs it; times are UTC.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Format = Literal["cron", "systemd", "kubernetes"]
FORMATS: tuple[Format, ...] = get_args(Format)
LONGEST_NAME = 52
"""Of a CronJob: Kubernetes makes longer names of it."""
IN_THE_IMAGE = "/project"
"""Where the project lies in a container."""


class Daily(NamedTuple):
    """A command that runs each day."""

    name: str
    """Of the job: lower-case letters, digits and hyphens."""
    what: str
    """In a few words, for people."""
    command: tuple[str, ...]
    """Program and arguments."""
    project: Path
    hour: int
    minute: int


def cron(job: Daily) -> str:
    """Lines for ``crontab -e``. Cron ends a command at a percent sign; what the command prints is cron's mail."""
    line = shlex.join(job.command).replace("%", r"\%")
    return f"# {job.what}\nCRON_TZ=UTC\n{job.minute} {job.hour} * * * {line}\n"


def systemd(job: Daily) -> str:
    """The two `units`, each below the name of its file."""
    return "\n".join(f"# /etc/systemd/system/{name}\n{text}" for name, text in units(job).items())


def units(job: Daily) -> dict[str, str]:
    """A service and its timer, by the names of their files. A day that the machine was off for is made up at the next start."""
    folder = str(job.project).replace("%", "%%")
    service = f"""\
[Unit]
Description={job.what}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={" ".join(map(_systemd_word, job.command))}
"""
    timer = f"""\
[Unit]
Description={job.what}, daily

[Timer]
OnCalendar=*-*-* {job.hour:02}:{job.minute:02}:00 UTC
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{job.name}.service": service, f"{job.name}.timer": timer}


def _systemd_word(word: str) -> str:
    """systemd.service(5): a percent sign begins a specifier, a dollar sign a variable."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if word and not set(word) & set(" \t\"'\\;") else f'"{escaped}"'


def kubernetes(job: Daily, image: str) -> str:
    """A CronJob for ``kubectl apply -f -``; ``image`` has Headrace, and the project in /project."""
    quoted: Callable[[object], str] = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731 - JSON is YAML
    return f"""\
# {job.what}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {_short(job.name)}
spec:
  schedule: "{job.minute} {job.hour} * * *"
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 3
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: {_short(job.name)}
              image: {quoted(image)}
              workingDir: {IN_THE_IMAGE}
              command: {quoted(list(job.command))}
"""


def _short(name: str) -> str:
    """A name that Kubernetes takes: the end of a long one is a digest of it."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 9].rstrip('-')}-{digest}"


def batch_views(service: str, program: Sequence[str], project: Path, hour: int, minute: int) -> Daily:
    """The daily rows of a service's batch views, computed and written to the online store."""
    command = (*program, "batch-views", service, "--push", "--project", str(project))
    what = f"Headrace: the daily rows of service {service}, to the online store"
    return Daily(_name("batch-views", service), what, command, project, hour, minute)


def score(
    service: str, program: Sequence[str], project: Path, hour: int, minute: int, *, entities: str, holds: str | None
) -> Daily:
    """The daily predictions of a service's entities, as of then, into the store of predictions."""
    until = () if holds is None else ("--holds", holds)
    command = (*program, "score", service, "--entities", entities, "--online", *until, "--project", str(project))
    what = f"Headrace: the daily predictions of service {service}, to the online store"
    return Daily(_name("score", service), what, command, project, hour, minute)


def _name(command: str, service: str) -> str:
    letters = "".join(letter if letter.isalnum() else "-" for letter in service.lower())
    return f"headrace-{command}-{letters.strip('-')}"
