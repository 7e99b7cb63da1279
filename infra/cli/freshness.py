"""``headrace freshness``: how often a model should be retrained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from features.times import DAY_MS, day_of
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.options import HistoryOption, PictureOption, ServiceArgument, day, histories, picture_file, train_config

if TYPE_CHECKING:
    from jobs.freshness.measure import Freshness


@app.command(epilog="Example: headrace freshness SERVICE --from 2026-01-31 --out freshness.svg")
def freshness(
    service: ServiceArgument,
    start: Annotated[
        str,
        typer.Option(
            "--from", help="Learn from no day before this one: windows are whole then.", metavar="DATE", show_default=False
        ),
    ],
    until: Annotated[
        str | None, typer.Option(help="Test on days before this one; none: all that are due.", metavar="DATE", show_default=False)
    ] = None,
    ages: Annotated[str, typer.Option(help="Ages of the data, in days beside the freshest.", metavar="DAYS")] = "0,7,14,28,56",
    days: Annotated[int, typer.Option(help="Days of training.", min=1, max=3650)] = 7,
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0, max=3650)] = 7,
    test_days: Annotated[int, typer.Option(help="Days of each test.", min=1, max=3650)] = 7,
    every: Annotated[
        int | None,
        typer.Option(help="Days from a cut-off to the next; none: as many as a test has.", min=1, max=3650, show_default=False),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Which loss is accepted, as a share of the freshest models' metric.", min=0, max=1)
    ] = 0.02,
    history: HistoryOption = None,
    out: PictureOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Train on data of different ages at many cut-off days, and show what age loses and what training costs.

    It recommends the highest age up to which no more is lost than is accepted, at the worse end of the interval.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.settings import load_settings

    where, others = folder(project), histories(history)
    first, end, chosen_ages = day(start), None if until is None else day(until), _ages(ages)
    if out is not None:
        picture_file(out)
    if every is not None and every < test_days:
        raise SettingError(f"a test day counts once; got --every {every} and --test-days {test_days}; take --every {test_days}")
    settings = load_settings(where)
    config = train_config(settings, service)
    with interruptible(lambda: "nothing was written"), show.progress() as on_progress:
        from jobs.training.trainers import chosen

        chosen(config)
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.freshness.measure import Comparison
        from jobs.freshness.measure import freshness as run
        from jobs.training.matured import matured_until

        of = with_settings(load(where).service(service), settings)
        on_progress("looking for the newest labels", 0, 1)
        due = day_of(matured_until(of, config.label, delay, others) * DAY_MS)
        if end is not None and end > due:
            raise SettingError(f"labels are due of days before {due}; got --until {end}; write {due} or an earlier day")
        wanted = Comparison(first, end or due, days, delay, test_days, every or test_days, chosen_ages)
        found = run(of, config, wanted, tolerance=tolerance, histories=others, on_progress=on_progress)
        if out is not None:
            from jobs.freshness.picture import draw

            draw(found, out)
    if as_json:
        import msgspec

        show.json(msgspec.to_builtins(found) | {"longest": found.longest, "recommendation": found.recommendation})
        return
    _print(found, days)
    if out is not None:
        show.out.print(f"\n→ {show.escape(str(out))}")


def _print(found: Freshness, days: int) -> None:
    from infra.cli import show
    from jobs.freshness.picture import COLUMNS, cells

    over = f"{len(found.cut_offs)} cut-off days from {found.cut_offs[0]} to {found.cut_offs[-1]}"
    models = f"{found.models} models of {days} days, {found.seconds:.1f} s of CPU to train each"
    show.out.print(f"[bold]service {show.escape(found.service)}[/], {found.metric}: {over}, {models}")
    show.out.print()
    show.table("", COLUMNS, [cells(one) for one in found.ages], right=COLUMNS)
    show.out.print(f"\n{found.recommendation}")


def _ages(written: str) -> tuple[int, ...]:
    """``0,7,14`` as numbers. Raises `SettingError` where they do not ascend from 0."""
    parts = written.replace(" ", "").split(",")
    found = tuple(int(part) for part in parts if part.isascii() and part.isdecimal())
    if len(found) != len(parts) or len(found) < 2 or found[0] != 0 or sorted(set(found)) != list(found) or found[-1] > 3650:
        raise SettingError(f"ages are days, ascending, from 0 on; got '{written}'; write 0,7,14,28, say")
    return found
