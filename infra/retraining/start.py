"""What a monitor is handed to start retrains with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local import stack
from infra.local.priority import NICE
from infra.local.stack.start import PROGRAM
from infra.settings import run_folder
from serving.monitor.retraining import Retraining

if TYPE_CHECKING:
    from infra.settings import Settings


def retraining_of(service: str, where: Path, settings: Settings, written: Path | None) -> Retraining | None:
    """What starts `headrace retrain SERVICE --when` for a monitor; None where the settings want no retrain by itself.

    ``written`` is the file of settings that the monitor has; None: the project's. What a look says goes to
    ``logs/retrain-SERVICE.log`` of the run folder. Raises `SettingError` where the extra ``train`` is missing.
    """
    section = settings.train[service].retrain if service in settings.train else None
    if section is None or not section.when:
        return None
    import jobs.training  # noqa: F401 - says which extra is missing

    whens = [word for when in section.when for word in ("--when", when)]
    of_settings = [] if written is None else ["--settings", str(written.absolute())]
    command = [*PROGRAM, "retrain", service, *whens, "--project", str(where), *of_settings]
    log = stack.Folders(run_folder(where, settings)).logs / f"retrain-{service}.log"

    def start() -> subprocess.Popen[bytes]:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        own = os.getpriority(os.PRIO_PROCESS, 0)  # a monitor that is given less than that may not give a child more
        os.setpriority(os.PRIO_PROCESS, child.pid, max(NICE, own))
        return child

    return Retraining(start, section.look_minutes * 60)
