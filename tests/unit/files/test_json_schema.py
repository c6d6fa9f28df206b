"""The published schema and the reader say the same."""

from __future__ import annotations

import json
from pathlib import Path

import trebuchet
from trebuchet.files.json_schema import json_schema

PUBLISHED = Path(trebuchet.__file__).parent / "schema" / "job-file.json"


def test_published_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema(), (
        "python -m trebuchet schema > src/trebuchet/schema/job-file.json"
    )


def test_every_field_is_described() -> None:
    for dialect in json_schema()["anyOf"]:
        for name, field in dialect["properties"].items():
            assert field["description"].endswith("."), name
