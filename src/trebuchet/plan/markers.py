"""The wrapper's own lines in a job's output: made by `wrapper.sh`, found and taken out here."""

from __future__ import annotations

import hashlib

from trebuchet.status import Phase

_LONGEST_MARKER = 200
_HIGHEST_EXIT_CODE = 255
_PHASES = frozenset(phase.value for phase in Phase)


def nonce_for(key: str) -> str:
    """The word that tells our marker lines from the job's own, for the job of this key.

    Derived rather than drawn, so that any process that knows the job finds its markers. A job that prints its
    own marker deceives only itself.
    """
    return hashlib.sha256(f"trebuchet marker {key}".encode()).hexdigest()[:16]


def _time(value: str) -> float | None:
    # bash writes the fraction as the sandbox's language does.
    whole, _, fraction = value.replace(",", ".").partition(".")
    return float(f"{whole}.{fraction or 0}") if whole.isdecimal() and (fraction or "0").isdecimal() else None


def _is_exit_code(value: str) -> bool:
    return value.isascii() and value.isdecimal() and int(value) <= _HIGHEST_EXIT_CODE


class MarkerFilter:
    """Takes marker lines out of one stream of text chunks, and remembers what they said.

    Chunks may be cut anywhere. Everything else comes out as it went in, at once, except for the few
    characters at a chunk's end that may be the beginning of a marker.

    Attributes:
        phase: How far the wrapper said it got; None before its first word.
        exit_code: What the wrapper said the scripts ended with; None before that.
        cut: Whether the wrapper ended them to make room for a successor.
        began_at: When the wrapper started, told at its end: seconds since the epoch, by the sandbox's clock.
    """

    def __init__(self, nonce: str, held: str = "") -> None:
        self._opening = f"[trebuchet:{nonce}] "
        self._held = held
        self.phase: Phase | None = None
        self.exit_code: int | None = None
        self.cut = False
        self.began_at: float | None = None

    @property
    def setup_failed(self) -> bool:
        """Whether the scripts ended in `setup`, with a code other than 0."""
        return self.phase is Phase.SETUP and self.exit_code not in {None, 0}

    @property
    def held(self) -> str:
        """What was taken and not yet given; another filter can go on with it."""
        return self._held

    def feed(self, chunk: str) -> str:
        """Take the next chunk; give what can be shown."""
        text, shown = self._held + chunk, list[str]()
        while (start := text.find(self._opening)) >= 0:
            end = text.find("\n", start)
            if end < 0 and len(text) - start <= _LONGEST_MARKER:
                break
            if end < 0 or end - start > _LONGEST_MARKER:  # None of ours is so long: the job printed its like.
                start_of_rest = start + len(self._opening)
                shown.append(text[:start_of_rest])
            else:
                shown.append(text[:start])
                self._learn(text[start + len(self._opening) : end])
                start_of_rest = end + 1
            text = text[start_of_rest:]
        keep = len(text) - start if start >= 0 else self._beginning_at_end(text)
        shown.append(text[: len(text) - keep])
        self._held = text[len(text) - keep :]
        return "".join(shown)

    def flush(self) -> str:
        """Give what was held back, once the stream is known to have ended."""
        held, self._held = self._held, ""
        return held

    def _beginning_at_end(self, text: str) -> int:
        for length in range(min(len(self._opening) - 1, len(text)), 0, -1):
            if self._opening.startswith(text[-length:]):
                return length
        return 0

    def _learn(self, words: str) -> None:
        for name, _, value in (word.partition("=") for word in words.split()):
            if name == "phase" and value in _PHASES:
                self.phase = Phase(value)
            elif name == "end" and _is_exit_code(value):
                self.exit_code = int(value)
            elif name == "cut":
                self.cut = True
            elif name == "began":
                self.began_at = _time(value)
