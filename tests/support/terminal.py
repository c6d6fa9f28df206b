"""The command line on a terminal, as a person has it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time


class Terminal:
    """A command on a terminal, as a person has it."""

    def __init__(self, *arguments: str, columns: int = 80, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(24, columns)
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trebuchet", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, env={**os.environ, **variables},
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self._ours, False)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read(self) -> str:
        """What has been shown since it was read last."""
        try:
            return os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # Nothing new, or it has ended.
            return ""

    def read_to_its_end(self, seconds: float = 60) -> str:
        """Wait until the command has ended; all that was shown and not read yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                more = os.read(self._ours, 65_536)
            except BlockingIOError:
                assert time.monotonic() < deadline, repr(self.shown)
                time.sleep(0.02)
            except OSError:
                break
            else:
                self.shown += more.decode(errors="replace")
        self.process.wait(timeout=30)
        shown, self.shown = self.shown, ""
        return shown

    def read_until(self, text: str, seconds: float = 30) -> None:
        """Wait until this stands on the screen, after what was waited for before."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, repr(self.shown)
            try:
                self.shown += os.read(self._ours, 65_536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        assert text in self.shown, repr(self.shown)
        self.shown = self.shown.partition(text)[2]
