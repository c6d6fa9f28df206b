"""A process's claim, and what is heard of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """
import os, sys
from pathlib import Path
from trebuchet.lifecycle.claims import Claims

claims = Claims(Path(sys.argv[1]))
mine = claims.token()
if os.fork() == 0:
    assert claims.token() != mine
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert Claims(Path(sys.argv[1])).is_alive(mine)
"""


def test_a_process_that_ends_with_its_claim_complains_of_nothing(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-X", "dev", "-c", _SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
