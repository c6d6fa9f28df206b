"""Local files that travel: the work dir and file mounts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.errors import shown
from trebuchet.plan.places import PlaceError, filled, keep_out_of_system, place
from trebuchet.plan.script import WORK_DIR
from trebuchet.sandbox import Upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings

_CREDENTIAL_NAMES = frozenset(
    {
        ".netrc", "_netrc", ".git-credentials", ".npmrc", ".pypirc", ".pgpass", "kaggle.json",
        "credentials", "credentials.json", "application_default_credentials.json", "token", "stored_tokens",
        "id_rsa", "id_ed25519", "id_ecdsa", ".wandb_api_key", ".env", "access_key",
    }
)  # fmt: skip
_CREDENTIAL_FOLDERS = frozenset(
    {".ssh", ".aws", ".gnupg", ".kaggle", ".docker", ".oci", ".azure", ".r2", "gcloud"}
)
_CREDENTIAL_SUFFIXES = frozenset({".pem", ".key", ".p12"})
_GIT_URL = re.compile(r"(?:https?|ssh|git)://.+|[\w.-]+@[\w.-]+:.+")
_GIT_REF = re.compile(r"[\w.@{}^~/][\w.@{}^~/+#-]*")
_BUCKET_URL = re.compile(r"(s3|gs|r2)://")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class LocalPaths:
    """What local paths are relative to.

    Attributes:
        here: Where relative ones start.
        home: What `~` means; None leaves it to whoever reads the path.
    """

    here: Path
    home: Path | None

    def find(self, text: str) -> Path:
        """A local path, absolute where `here` is."""
        if self.home is not None and (text == "~" or text.startswith("~/")):
            return self.home / text[2:]
        return Path(text) if text.startswith("~") else self.here / text


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository that becomes the work dir; `ref` None for its default branch."""

    url: str
    ref: str | None


def work_dir(
    job: JobConfig, variables: Mapping[str, str], paths: LocalPaths, findings: Findings
) -> Upload | GitSource | None:
    """What the work dir holds when the scripts start; None for nothing."""
    field = "working_dir"
    findings.translated(field, "working_dir_ref")
    if job.working_dir is None:
        return None
    try:
        source = filled(job.working_dir.strip(), variables)
    except PlaceError as error:
        findings.refused(field, str(error), error.hint)
        return None
    if _GIT_URL.fullmatch(source):
        return _git(job, source, findings)
    if job.working_dir_ref is not None:
        findings.refused("working_dir_ref", "only a git URL has a ref")
    if not source or "\0" in source or _URL.match(source):
        findings.refused(field, f"{shown(source)} is no local folder", "name a folder, or a git URL")
        return None
    return Upload(source=paths.find(source), target=WORK_DIR, role="workdir")


def _git(job: JobConfig, url: str, findings: Findings) -> GitSource | None:
    if re.match(r"https?://[^/@]*:[^/@]*@", url) or re.match(r"https?://[^/@]{20,}@", url):
        findings.refused(
            "working_dir",
            "the git URL holds a password or token",
            "give it as --secret GIT_TOKEN=…",
        )
        return None
    if job.working_dir_ref is not None and not _GIT_REF.fullmatch(job.working_dir_ref):
        findings.refused("working_dir_ref", f"{shown(job.working_dir_ref)} is no branch, tag or commit")
    at = f" at {job.working_dir_ref}" if job.working_dir_ref else ""
    findings.noted("working_dir", f"is cloned{at} before setup", "it names a git repository")
    return GitSource(url, job.working_dir_ref)


def file_mounts(
    job: JobConfig, variables: Mapping[str, str], paths: LocalPaths, findings: Findings
) -> dict[str, Upload]:
    """The uploads of `file_mounts` by their field, in their order."""
    findings.known("file_mounts")
    found: dict[str, Upload] = {}
    taken: set[str] = set()
    for target, source in job.file_mounts.items():
        field = f"file_mounts.{target}"
        findings.translated(field)
        try:
            upload = _upload(target, source, variables, paths)
        except PlaceError as error:
            findings.refused(field, str(error), error.hint)
            continue
        if upload.target.rstrip("/") in taken:
            findings.refused(field, f"something else arrives at {upload.target} already")
        if upload.role == "credential":
            findings.noted(
                field, "travels with each launch", "it looks like a credential: no image ever holds it"
            )
        taken.add(upload.target.rstrip("/"))
        found[field] = upload
    return found


def _upload(target: str, source: str | None, variables: Mapping[str, str], paths: LocalPaths) -> Upload:
    local = filled(source or "", _with_home(variables, paths)).strip()
    if not local or "\0" in local:
        raise PlaceError("no local file is named", "write a local path")
    if _URL.match(local):
        raise PlaceError(f"{local} is no local file", _way_to(local))
    where = place(target, variables)
    keep_out_of_system(where, mounted=False)
    role = "credential" if _is_credential(local) or _is_credential(where) else "file_mount"
    return Upload(source=paths.find(local), target=where, role=role)


def _way_to(url: str) -> str:
    """What to do about a URL where a local file is wanted."""
    if _BUCKET_URL.match(url):  # SkyPilot's files never come here with one.
        return "write a bucket under storage_mounts, or have the file read as SkyPilot's: --dialect skypilot"
    return "fetch it in setup, with curl for instance"


def _with_home(variables: Mapping[str, str], paths: LocalPaths) -> Mapping[str, str]:
    return {"HOME": "~" if paths.home is None else str(paths.home), **variables}


def _is_credential(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        pure.name in _CREDENTIAL_NAMES
        or pure.suffix in _CREDENTIAL_SUFFIXES
        or any(part in _CREDENTIAL_FOLDERS for part in pure.parts)
    )
