"""`trebuchet local gc`: room on the disk, shown before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from trebuchet.cli.ages import age_in_days
from trebuchet.cli.asking import require_confirmation
from trebuchet.cli.console import printable, show, tell
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.sizes import size
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session

_WORDS = {
    "overlay": "what ended sandboxes wrote",
    "sandbox": "ended sandboxes, with their logs",
    "image": "images that can be built again",
    "layer": "files of images that are gone",
    "unpacked": "files from registries",
    "mount": "files that were sent, put together",
    "content": "files that were sent, themselves",
    "volume": "volumes, with all that is in them",
}


@click.command(
    cls=Verb,
    examples=[
        ("local gc", "what can go; asks before it goes"),
        ("local gc --older-than 0 --yes", "all that nothing alive needs, without asking"),
        ("local gc --volumes", "volumes too that nobody used in a month"),
    ],
)
@click.option(
    "--older-than",
    type=age_in_days,
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Of what may be wanted again, only what is older: 24h, 30d, 1w; a bare number is of days.",
)
@click.option("--volumes", is_flag=True, help="Volumes too. Nothing brings back what is in them.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@session_options
@pass_session
def gc(session: Session, form: Form | None, older_than: float, volumes: bool, yes: bool) -> None:
    """Free disk space: what ended sandboxes left, images and files that nothing alive uses.

    It is shown first. With --json nothing is removed unless --yes is given.
    """
    from trebuchet.engines.local import LocalDaemon  # noqa: PLC0415 - for these verbs alone

    daemon = LocalDaemon(session.settings)
    found = daemon.reclaimable(older_than_s=older_than, volumes=volumes)
    if form != "json":
        _show(found, volumes)
        if not found:
            return
        if not yes:
            require_confirmation("Remove it?")
    elif not yes:
        print_json({"removed": False, "found": found, "bytes": _bytes(found)})
        return
    gone = daemon.reclaim(older_than_s=older_than, volumes=volumes)
    if form == "json":
        print_json({"removed": True, "found": gone, "bytes": _bytes(gone)})
    else:
        tell(f"removed {len(gone)}, {size(_bytes(gone))}")


def _show(found: list[dict[str, Any]], volumes: bool) -> None:
    if not found:
        show("nothing to remove")
        return
    for kind, words in _WORDS.items():
        of_kind = [one for one in found if one["kind"] == kind]
        if of_kind:
            show(f"{size(_bytes(of_kind)):>10}  {len(of_kind):>5}  {words}")
    if volumes:
        for one in found:
            if one["kind"] == "volume":
                show(f"{size(one['size']):>10}         {printable(str(one['why']))}")
    show(f"{size(_bytes(found)):>10}         in all")


def _bytes(found: list[dict[str, Any]]) -> int:
    return sum(cast("int", one["size"]) for one in found)
