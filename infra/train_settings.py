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


class TrainSettings(Section):
    """``[train.<service>]``: what a service's model learns, how, and how it is tested (docs/training.md)."""

    label: str = Field(pattern=r"^\w+\.\w+$")
    """``<source>.<column>``: the column of a source's history that says what happened, joined on the event id."""
    task: Literal["classification", "regression"] = "classification"
    """What is learned: `classification`, how likely the label is 1 and not 0; `regression`, how large the label is."""
    group: str | None = None
    """The column of the spine whose values precision at ``group_top`` ranks each day; none: that metric is left out."""
    group_top: int = Field(default=100, ge=1)
    """How many groups a day precision is measured at."""
    leave_out_known_positives: bool = False
    """Whether the test leaves out rows of a group with a positive that is known on the row's day; needs ``group``."""
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
        return TrainConfig(**self.model_dump(exclude={*PARAMETERS, "horizon"}), parameters=given)
