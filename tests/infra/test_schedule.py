"""What `headrace schedule` prints, as the programs read it that run it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra import schedule

ODD = 'a "shop" of 100 % $HOME'
"""A folder's name that each program would read otherwise, were it not quoted."""


def job(folder: Path, program: str = "/opt/head race/bin/headrace") -> schedule.Daily:
    """The daily work of a service."""
    return schedule.batch_views("Shop_2", (program,), folder / ODD, 0, 10)


def test_cron_runs_the_command_at_a_time_in_utc(tmp_path: Path) -> None:
    """Five fields and a command that a shell splits into the words that were meant; no bare percent sign, which ends it."""
    comment, zone, line = schedule.cron(job(tmp_path)).splitlines()
    assert comment.startswith("# ")
    assert zone == "CRON_TZ=UTC"
    *fields, command = line.split(" ", 5)
    assert fields == ["10", "0", "*", "*", "*"]
    assert "%" not in command.replace(r"\%", "")
    assert shlex.split(command.replace(r"\%", "%")) == list(job(tmp_path).command)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of them, and names the next time in UTC."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze to read the units: apt install systemd")
    (tmp_path / ODD).mkdir()
    files = schedule.units(job(tmp_path, sys.executable))
    assert list(files) == ["headrace-batch-views-shop-2.service", "headrace-batch-views-shop-2.timer"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    said = subprocess.run([program, "verify", *(tmp_path / name for name in files)], capture_output=True, text=True)
    assert [line for line in said.stderr.splitlines() if "headrace" in line] == []
    calendar = next(line.partition("=")[2] for line in files["headrace-batch-views-shop-2.timer"].splitlines() if "OnCal" in line)
    shown = subprocess.run([program, "calendar", calendar], capture_output=True, text=True)
    assert "00:10:00 UTC" in shown.stdout


def test_kubernetes_gets_a_cron_job(tmp_path: Path) -> None:
    """One document of YAML: schedule, time zone and the words of the command."""
    given = job(tmp_path, "headrace")
    (found,) = yaml.safe_load_all(schedule.kubernetes(given, "registry.example.com/shop:1.2"))
    assert (found["apiVersion"], found["kind"], found["metadata"]) == (
        "batch/v1",
        "CronJob",
        {"name": "headrace-batch-views-shop-2"},
    )
    assert (found["spec"]["schedule"], found["spec"]["timeZone"]) == ("10 0 * * *", "Etc/UTC")
    (container,) = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert (container["image"], tuple(container["command"])) == ("registry.example.com/shop:1.2", given.command)


def test_a_cron_job_has_a_name_that_kubernetes_takes() -> None:
    """At most 52 letters, and still another for another service."""
    services = ("a_service_of_a_name_that_is_long_for_a_cron_job_1", "a_service_of_a_name_that_is_long_for_a_cron_job_2")
    jobs = [schedule.batch_views(service, ["headrace"], Path("/shop"), 0, 10) for service in services]
    names = [yaml.safe_load(schedule.kubernetes(given, "shop"))["metadata"]["name"] for given in jobs]
    assert len({*names}) == 2
    assert all(re.fullmatch(r"headrace-batch-views-[a-z-]{22}-[0-9a-f]{8}", name) for name in names), names
