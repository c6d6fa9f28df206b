"""The JSON Schema of job files, for editors; made from the table that the reader uses."""

from __future__ import annotations

from typing import Any

from trebuchet.files.fields import OUMI, SKYPILOT


def json_schema() -> dict[str, Any]:
    """A schema that a file of either dialect satisfies."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trebuchet job file",
        "description": "A job in Oumi's or SkyPilot's dialect: what it needs, its setup and its run script.",
        "anyOf": [
            {"title": "Oumi's dialect", **OUMI.schema()},
            {"title": "SkyPilot's dialect", **SKYPILOT.schema()},
        ],
    }
