"""What a file that is no job file looks like."""

from __future__ import annotations

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a Linux program (ELF)"),
    (b"MZ\x90", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"SQLite format 3", "an SQLite database"),
    (b"GGUF", "a model's weights (GGUF)"),
    (b"-----BEGIN ", "a key or certificate (PEM)"),
)

_SUFFIXES = {
    ".toml": "TOML",
    ".ini": "an INI file",
    ".cfg": "an INI file",
    ".py": "a Python program",
    ".ipynb": "a notebook",
    ".tf": "a Terraform file",
}

_SECTION = re.compile(r"\A(?:\s*[#;][^\n]*\n|\s*\n)*\[+[\w.\" -]+\]+[ \t]*(?:[#;][^\n]*)?\n\s*[\w.\"-]+\s*=")
_PYTHON = re.compile(
    r"^(?:import \w[\w.]*|from \w[\w.]* import .+|def \w+\(.*\).*:|class \w+.*:)[ \t]*$", re.MULTILINE
)
_TOML_LINE = re.compile(r"\A(?:\s*#[^\n]*\n|\s*\n)*[\w-]+[ \t]*=[ \t]*[\"'\[{\d]")
_MARKUP = re.compile(r"\A\s*<(?:\?xml|!doctype|html|svg)", re.IGNORECASE)
_SBATCH = re.compile(r"^#(?:SBATCH|PBS|BSUB)\b", re.MULTILINE)


def looks_like(data: bytes, name: str) -> str | None:
    """The format of a file that is surely not YAML, or None where it may be."""
    for magic, format_name in _MAGIC:
        if data.startswith(magic):
            return format_name
    head = data[:4096]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if b"\0" in head:
        return "a binary file"
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff").replace("\r\n", "\n")
    return _script(text) or _text(text, name)


def _script(text: str) -> str | None:
    first = text.split("\n", 1)[0]
    if _SBATCH.search(text) and first.startswith("#!"):
        return "a batch script (Slurm or PBS)"
    if first.startswith("#!"):
        return "a Python program" if "python" in first else "a shell script"
    return None


def _text(text: str, name: str) -> str | None:
    if _MARKUP.match(text):
        return "HTML or XML"
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), None)
    if _SECTION.match(text) or _TOML_LINE.match(text):
        return _SUFFIXES.get(suffix or "", "TOML or an INI file")
    if suffix == ".py" or (_PYTHON.search(text) and not re.search(r"^\w+:(?:\s|$)", text, re.MULTILINE)):
        return "a Python program"
    return None
