"""The page about Python is run, from its first line to its last, as its reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_all_of_it_runs(home: Path, tmp_path: Path) -> None:
    del home  # the state folder that the environment names
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 2
    (tmp_path / "train.yaml").write_text("name: train\nrun: echo trained\n")
    program = "\n".join(blocks).replace("/srv/jobs", str(tmp_path / "jobs"))
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert [line for line in lines if "trained" in line] == ["trained", "stdout trained", *["trained"] * 3]
    assert "JobState.SUCCEEDED" in [line.split()[0] for line in lines]
