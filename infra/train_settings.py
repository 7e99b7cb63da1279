"""``[train.<service>]``: what training is told by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from features.times import duration_ms
from infra.section import Section

if TYPE_CHECKING:
    from jobs.training.config import TrainConfig

PARAMETERS = ("trees", "depth", "leaves", "layers", "width", "kernel", "epochs", "learning_rate", "regularization", "seed")
"""The keys of ``[train.<service>]`` that are parameters of its trainer."""


When = Literal["drift", "decay", "schedule"]
"""A reason to retrain by itself."""


class RetrainSettings(Section):
    """``[train.<service>.retrain]``: what `headrace retrain` does without options, and when it is done by itself."""

    when: tuple[When, ...] = ()
    """When `headrace monitor` starts a retrain (docs/updating.md): `drift`, an alarm of production is open; `decay`, its metric
    on the newest matured days is clearly worse than at training; `schedule`, there are ``every_days`` newer days; none: never."""
    every_days: int = Field(default=7, ge=1, le=3650)
    """Of a schedule: how many days newer what is learnt from has to be; days of events whose labels are due."""
    cooldown_hours: float = Field(default=72, ge=0, le=100_000, allow_inf_nan=False)
    """By the clock, from the beginning of one retrain by itself to that of the next, whatever came of it."""
    look_minutes: float = Field(default=60, gt=0, le=100_000, allow_inf_nan=False)
    """How often a monitor looks whether to retrain; it looks at once when an alarm opens, too."""
    days: int = Field(default=7, ge=1, le=3650)
    """Days of training."""
    delay: int = Field(default=7, ge=0, le=3650)
    """Days until labels are known."""
    test_days: int = Field(default=7, ge=1, le=3650)
    """Days of the test, the newest matured ones; those that `decay` measures, too."""
    needs: Literal["not-worse", "better"] = "not-worse"
    """What a new model has to be, beside production's, on the test days."""
    alias: str = "staging"
    """The shadow that a new model is tried in."""
    wait_minutes: float = Field(default=0, ge=0, le=100_000, allow_inf_nan=False)
    """How long the gate is waited for, to let a new model into production; 0: `headrace models promote` asks it later."""
    from_served: bool = False
    """Whether it learns from the values that were served, by the receipts of the topic."""
    warm_start: bool = False
    """Whether training goes on from production's weights: networks (mlp, cnn) can."""


class TrainSettings(Section):
    """``[train.<service>]``: what a service's model learns, how, and how it is tested (docs/training.md)."""

    label: str = Field(pattern=r"^[\w-]+\.[\w.-]+$")
    """``<source>.<column>``: the column of a source's history that says what happened, joined on the event id."""
    task: Literal["classification", "regression"] = "classification"
    """What is learned: `classification`, how likely the label is 1 and not 0; `regression`, how large the label is."""
    group: str | None = None
    """The column of the spine whose values precision at ``group_top`` ranks each day; none: that metric is left out."""
    group_top: int = Field(default=100, ge=1)
    """How many groups a day precision is measured at."""
    leave_out_known_positives: bool = False
    """Whether the test leaves out rows of a group with a positive that is known on the row's day; needs ``group``."""
    segments: tuple[str, ...] = Field(default=(), max_length=3)
    """The model's inputs, or columns of the events, by whose values predictions are watched apart (docs/monitoring.md) and
    measured (docs/outcomes.md): at most three; each has up to ten segments of its own, its most frequent values or bins, and one
    of all others."""
    horizon: str = Field(default="30d", pattern=r"^[1-9][0-9]{0,4}[smhd]$")
    """How far a label's time may be from its event's, either way, for `headrace outcomes`: `36h`, `30d`. The job that joins the
    stream keeps predictions and labels for so long."""
    trainer: str = "xgboost"
    """What the model is made by; docs/training.md has all trainers, and the parameters below that each takes."""
    trees: int | None = Field(default=None, ge=1, le=10_000)
    """How many trees the model has; none: the trainer's own number."""
    depth: int | None = Field(default=None, ge=1, le=64)
    """How many branches a tree has at most, from its root to a leaf; none: the trainer's own number."""
    leaves: int | None = Field(default=None, ge=2, le=65_536)
    """How many leaves a tree has at most; none: the trainer's own number."""
    layers: int | None = Field(default=None, ge=1, le=64)
    """How many hidden layers a network has, or how many convolutions; none: the trainer's own number."""
    width: int | None = Field(default=None, ge=1, le=65_536)
    """How many neurons, or filters, a layer of a network has; none: the trainer's own number."""
    kernel: int | None = Field(default=None, ge=1, le=100)
    """How many neighbouring values a filter takes; none: the trainer's own number."""
    epochs: int | None = Field(default=None, ge=1, le=10_000)
    """How often a network sees all rows, at most; it ends where held-out rows gain nothing; none: the trainer's own number."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """How much of each new tree is added to those before it, or how long a network's first steps are; none: the trainer's own."""
    regularization: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How strongly a linear model is held to small weights; none: the trainer's own number."""
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """What random choices start from: equal seeds and equal data give equal models; none: 0, where the trainer has any."""

    retrain: RetrainSettings = RetrainSettings()

    @model_validator(mode="after")
    def _group_is_named(self) -> Self:
        if self.leave_out_known_positives and self.group is None:
            raise ValueError("leave_out_known_positives leaves out rows of groups; name the group's column in group")
        if self.task == "regression" and self.group is not None:
            raise ValueError("group ranks events that are labelled 1, which a regression has none of; leave group out")
        return self

    @property
    def horizon_ms(self) -> int:
        """``horizon`` in milliseconds."""
        return duration_ms("horizon", self.horizon)

    @property
    def config(self) -> TrainConfig:
        """The same as training takes it."""
        from jobs.training.config import TrainConfig

        given = {name: value for name in PARAMETERS if (value := getattr(self, name)) is not None}
        return TrainConfig(**self.model_dump(exclude={*PARAMETERS, "retrain", "horizon"}), parameters=given)
