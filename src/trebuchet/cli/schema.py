"""`trebuchet schema`: the JSON Schema of job files, for editors."""

from __future__ import annotations

import click

from trebuchet.cli.render import print_json
from trebuchet.cli.verb import Verb, session_options


@click.command(cls=Verb, examples=[("schema > job.schema.json", "for an editor's YAML settings")])
@session_options
def schema() -> None:
    """Print the JSON Schema of job files."""
    from trebuchet.files.json_schema import json_schema  # noqa: PLC0415 - its package brings yaml

    print_json(json_schema())
