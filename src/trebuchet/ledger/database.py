"""One SQLite file, used by many processes and threads at once. No other package imports sqlite3."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trebuchet.errors import LedgerError
from trebuchet.ledger import filesystem
from trebuchet.ledger.rebuilding import RebuildMarker
from trebuchet.ledger.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_PATIENCE_S = 60.0
"""How long a writer waits for its turn before it gives up."""

_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_SEQUENCE"})


_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file: its newest writes, and where they are."""

_FileId = tuple[int, int]


class Database:
    """Connections to one file. Each is used by one thread at a time, and there are as many as that needs.

    The file is the one that lies at the path: where another process has set it aside as damaged, or somebody
    has removed it, the next use begins with the new one, and nothing is written where nobody will read it.

    Args:
        path: The file; it and its folder are made, private to the user.
        on_step: Called before and after each transaction that writes, with its name.

    Attributes:
        set_aside: Where a damaged file was moved when this one was opened; None where there was none.
    """

    def __init__(self, path: Path, *, on_step: Callable[[str], None]) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._on_step = on_step
        self._idle: list[sqlite3.Connection] = []
        self._of_parent: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._era = 0
        self._lock = threading.Lock()
        self._opening = threading.RLock()
        self._file: _FileId | None = None
        with self._errors():
            self._make_private()
            filesystem.check(path.parent)
        self._open()

    @property
    def rebuild_marker(self) -> RebuildMarker:
        """There while a ledger was begun anew and what runs is not yet written into it."""
        return RebuildMarker(self.path.with_name(f"{self.path.stem}.rebuild"))

    def close(self) -> None:
        """Close the connections; one that is in use at this moment is closed when it no longer is."""
        with self._lock:
            self._era += 1
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Read."""
        with self._errors(), self._connection() as connection:
            return connection.execute(query, values).fetchall()

    def row(self, query: str, values: tuple[Any, ...] = ()) -> sqlite3.Row | None:
        """Read one row, or None."""
        with self._errors(), self._connection() as connection:
            row: sqlite3.Row | None = connection.execute(query, values).fetchone()
            return row

    @contextmanager
    def writing(
        self, step: str, *, sync: Literal["NORMAL", "FULL"] = "NORMAL"
    ) -> Generator[sqlite3.Connection]:
        """One transaction: all of it happens, or nothing.

        Args:
            step: What it does, for `on_step`.
            sync: SQLite's word for what a power cut may lose: the last writes, or nothing (a crash of this
                program loses nothing). What no control plane could tell again wants `FULL`.

        Raises:
            LedgerError: It could not be written.
        """
        self._on_step(f"before {step}")
        with self._errors(), self._connection() as connection:
            connection.execute(f"PRAGMA synchronous = {sync}")
            _when_free(connection, "BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # A full disk has rolled it back already.
                    connection.execute("ROLLBACK")
                raise
        self._on_step(f"after {step}")

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        if self._file != _file_at(self.path):
            self._open_again()
        with self._lock:
            if self._pid != os.getpid():
                # What came through a fork is the parent's: neither to be used nor to be closed here.
                self._of_parent, self._idle, self._pid = self._idle, [], os.getpid()
            era = self._era
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        finally:
            with self._lock:
                if era == self._era:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _connect(self) -> sqlite3.Connection:
        """A connection to the file that was opened, or to what has come to its place, once that is."""
        while True:
            try:
                connection = self._connect_once()
            except sqlite3.DatabaseError:
                with self._alone():
                    if _file_at(self.path) == self._file:
                        raise
            else:
                # It has read by now. While the file stands in its place, so does its own log beside it.
                if _file_at(self.path) == self._file:
                    return connection
                connection.close()
            self._open_again()

    def _connect_once(self) -> sqlite3.Connection:
        # SQLite is not to make the file: it would be open to all, and no other process would be kept away.
        there = f"{self.path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            there, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            for pragma in ("foreign_keys = ON", "synchronous = NORMAL", "schema_version"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self) -> None:
        self._file = _file_at(self.path)
        self._migrate()

    def _open_again(self) -> None:
        """The file at the path is not the one that was opened, or there is none."""
        with self._opening:
            if _file_at(self.path) == self._file:
                return  # Another thread was faster.
            self.close()
            with self._errors():
                made = self._make_private()
            if made and self._file is not None:
                self._say_begun_anew("The ledger was removed")
            self._open()

    def _make_private(self) -> bool:
        """Make the file, private to the user, if there is none; whether it was made."""
        if self.path.exists():
            return False
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            if self.path.exists():
                return False
            self._make_file()
        return True

    def _make_file(self) -> None:
        for suffix in _BESIDE:  # What a removed one left would be taken for the new one's.
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    @contextmanager
    def _alone(self) -> Generator[None]:
        """No other process makes the file, or sets it aside, until the block ends."""
        lock = os.open(self.path.with_name(f"{self.path.stem}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _migrate(self) -> None:
        with self._errors():
            try:
                version = self._version()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorname not in _DAMAGE:
                    raise
                self._put_aside()
                self._file = _file_at(self.path)
                version = self._version()
            if version > len(MIGRATIONS):
                raise LedgerError(
                    f"{self.path} was written by a newer Trebuchet.",
                    hint="Upgrade this one, or set TREBUCHET_HOME.",
                )
            if version < len(MIGRATIONS):
                self._run_migrations()

    def _version(self) -> int:
        with self._connection() as connection:
            connection.execute(
                "SELECT count(*) FROM sqlite_master"
            ).fetchone()  # reads, and so notices damage
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _run_migrations(self) -> None:
        with self._connection() as connection:
            _when_free(connection, "PRAGMA journal_mode = WAL")
            self._migrate_with(connection)

    def _migrate_with(self, connection: sqlite3.Connection) -> None:
        _when_free(connection, "BEGIN IMMEDIATE")
        try:
            # Another process may have been faster.
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _put_aside(self) -> None:
        """Move the damaged file away, unless another process has done so."""
        self.close()
        with self._alone():
            if _file_at(self.path) != self._file:
                return
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
            self.set_aside = self.path.with_name(
                f"{self.path.stem}.damaged-{stamp}-{secrets.token_hex(3)}{self.path.suffix}"
            )
            self.rebuild_marker.put()  # Whoever is killed here, what runs is found again.
            # The file itself first: who finds it in place finds beside it what is its own.
            for suffix in ("", *_BESIDE):
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{self.set_aside}{suffix}")
            self._make_file()
        self._say_begun_anew(f"The ledger was damaged; it was set aside as {self.set_aside}")

    def _say_begun_anew(self, why: str) -> None:
        self.rebuild_marker.put()
        told = "What runs is found again by its tags; history is lost."
        warnings.warn(f"{why} and begun anew. {told}", stacklevel=2)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # These are faults of ours.
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname == "SQLITE_ERROR":
                raise  # As is this: a statement that makes no sense.
            raise self._explained(error) from error
        except OSError as error:
            raise LedgerError(
                f"{self.path.parent} cannot be used for the ledger: {error.strerror}.",
                hint="Make it writable, or set TREBUCHET_HOME.",
            ) from error

    def _disk_is_full(self) -> bool:
        # SQLite says so itself only where a write failed, not where its shared memory could not grow.
        with suppress(OSError):
            return os.statvfs(self.path.parent).f_bavail == 0
        return False

    def _explained(self, error: sqlite3.DatabaseError) -> LedgerError:
        name = error.sqlite_errorname
        if name in _DAMAGE:
            with suppress(OSError):
                self._put_aside()
            return LedgerError(
                f"The ledger {self.path} is damaged and was set aside.",
                hint="Run the command again: what runs is found by its tags.",
            )
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and self._disk_is_full()):
            return LedgerError(
                "The ledger cannot be written: the disk is full.", hint=f"Free room at {self.path}."
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return LedgerError(
                f"The ledger {self.path} cannot be opened for writing.",
                hint="Make it writable, or set TREBUCHET_HOME.",
            )
        if name.startswith("SQLITE_BUSY"):
            return LedgerError(
                f"Another process has held the ledger {self.path} for a minute.", hint="Try again."
            )
        return LedgerError(f"The ledger {self.path} cannot be used: {error}.")


def _file_at(path: Path) -> _FileId | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _when_free(connection: sqlite3.Connection, statement: str) -> None:
    """Run a statement for which SQLite's own waiting does not hold, or not for long enough."""
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
