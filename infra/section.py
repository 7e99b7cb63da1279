"""What every section of the settings is, and what the names of their environment variables begin with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

PREFIX = "HEADRACE_"


class Section(BaseModel):
    """Part of the settings: fixed once read, and no key that it doesn't know. A key's docstring is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
