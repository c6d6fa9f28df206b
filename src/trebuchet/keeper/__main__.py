"""`python -m trebuchet.keeper ORDER`: start the keeper in the background, and leave."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from trebuchet.keeper.process import keep
from trebuchet.lifecycle.handoff import Post
from trebuchet.settings import Settings


def main() -> None:
    order = json.loads(sys.argv[1])
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = Settings(**order["settings"] | {"home": Path(order["settings"]["home"])})
    keep(order["cloud"], settings, Post(settings.home / "keeper", order["post"]))


if __name__ == "__main__":
    main()
