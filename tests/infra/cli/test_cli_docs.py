"""docs/cli.md and docs/settings.md are what the commands and the settings say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cli.docs import reference
from infra.cli.docs_settings import settings_reference
from infra.settings import KafkaSettings, RunSettings, ScorerSettings, Section, Settings, StreamSettings
from infra.train_settings import RetrainSettings, TrainSettings

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_is_up_to_date() -> None:
    """A changed option changes the page: headrace docs-cli > docs/cli.md."""
    assert (DOCS / "cli.md").read_text() == reference()


def test_the_settings_are_up_to_date() -> None:
    """A changed setting changes the page: headrace docs-settings > docs/settings.md."""
    assert (DOCS / "settings.md").read_text() == settings_reference()


@pytest.mark.parametrize("section", [KafkaSettings, StreamSettings, ScorerSettings, TrainSettings, RetrainSettings, RunSettings])
def test_every_key_says_what_it_means(section: type[Section]) -> None:
    """One sentence, which ends with a full stop."""
    keys = {name: field for name, field in section.model_fields.items() if name != "retrain"}  # a section of its own
    assert [name for name, field in keys.items() if not (field.description or "").endswith(".")] == []


def test_every_section_is_on_the_page() -> None:
    """Those of the model, with the ones named after services."""
    titles = [line for line in settings_reference().splitlines() if line.startswith("## ")]
    sections = [name for name, field in Settings.model_fields.items() if field.description is None]
    named = {"train": ["train.<service>", "train.<service>.retrain"]}
    assert titles[1:] == [f"## `[{title}]`" for name in sections for title in named.get(name, [name])]
