"""A plan as a person reads it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import printable
from trebuchet.cli.fitting import columns_of
from trebuchet.cli.lacking import what_is_lacking
from trebuchet.cli.render import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trebuchet.cli.travelling import Travelling
    from trebuchet.job import JobConfig
    from trebuchet.plan.model import Note, Plan, Restarts
    from trebuchet.sandbox import BucketMount, ImageSpec, SandboxSpec, VolumeMount

_LABEL_WIDTH = 12
_WIDTH = 100
_NARROWEST = 40


def plan_text(plan: Plan, job: JobConfig, sent: Sequence[Travelling], lacking: Sequence[str] = ()) -> str:
    """What would be asked of the control plane, and every note. Names of variables, never values.

    Args:
        plan: What would be asked.
        job: What was wanted.
        sent: The plan's uploads, counted.
        lacking: Secrets that have no value yet.
    """
    first = plan.candidates[0]
    lines = [
        f"{printable(job.name or 'unnamed')}, read as {_DIALECTS[plan.dialect]}, for cloud {plan.cloud}",
        "",
    ]
    lines += [line for label, text in _rows(plan, job, first, sent) for line in _wrapped(label, text)]
    notes = [f"  {click.style(note.field, bold=True)}: {_note(note)}" for note in plan.notes]
    if lacking:
        notes.append(f"  {click.style('secrets', bold=True)}: {what_is_lacking(lacking)}")
    notes += [f"  {printable(left)}" for one in sent for left in one.left_out()]
    if notes:
        lines += ["", "Notes", *notes]
    return "\n".join(lines)


def _width() -> int:
    """The terminal's own, where there is one."""
    return max(columns_of(sys.stdout) or _WIDTH, _NARROWEST)


def _wrapped(label: str, text: str) -> list[str]:
    indent = " " * (_LABEL_WIDTH + 3)
    first = f"  {label:<{_LABEL_WIDTH}} "
    return textwrap.wrap(
        text, _width(), initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _note(note: Note) -> str:
    return f"{printable(note.done)}, {printable(note.why)}"


_DIALECTS = {"oumi": "Oumi's job file", "skypilot": "SkyPilot's task file"}


def _rows(
    plan: Plan, job: JobConfig, spec: SandboxSpec, sent: Sequence[Travelling]
) -> Iterator[tuple[str, str]]:
    yield from _labelled("image", _apart(plan, lambda each: _image(each.image, plan.cloud)))
    yield from _labelled("gpu", _apart(plan, _candidate))
    yield from _labelled("cpu", _apart(plan, lambda each: _cpu(each, plan.cloud)))
    yield "timeout", duration(spec.timeout_s)
    if plan.restarts is not None:
        yield "restarts", _restarts(plan.restarts)
    if spec.workdir:
        yield "starts in", spec.workdir
    yield from _labelled("upload", [_upload(each) for each in sent])
    yield from _labelled("volume", [_volume(each) for each in spec.volumes])
    yield from _labelled("bucket", [_bucket(each) for each in spec.buckets])
    yield from _labelled("env", [", ".join(sorted(spec.env))] if spec.env else [])
    yield from _labelled("variables", [", ".join(sorted(spec.variables))] if spec.variables else [])
    yield from _labelled("ports", _apart(plan, lambda each: ", ".join(map(str, each.ports))))
    yield from _labelled("tags", _apart(plan, _tags))
    yield "setup", _script(job.setup)
    yield "run", _script(job.run)


def _apart(plan: Plan, told: Callable[[SandboxSpec], str]) -> list[str]:
    """What is told of the candidates: once where it is the same, nothing where it is nothing."""
    texts = [told(each) for each in plan.candidates]
    if len(set(texts)) == 1:
        return texts[:1] if texts[0] else []
    return [f"{number}. {text or 'none'}" for number, text in enumerate(texts, 1)]


def _labelled(label: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(texts):
        yield ("" if index else label), printable(text)


def _image(image: ImageSpec, cloud: str) -> str:
    if image.registry_ref:
        parts = [image.registry_ref]
    elif cloud == "local":
        parts = ["this machine's own system"]
    else:
        parts = ["Debian slim" + (f", Python {image.python_version}" if image.python_version else "")]
    if image.apt_packages:
        parts.append("with " + ", ".join(image.apt_packages) + " (apt)")
    if image.pip_packages:
        parts.append("with " + ", ".join(image.pip_packages) + " (pip)")
    if image.commands:
        parts.append(f"and {len(image.commands)} commands of ours")
    return ", ".join(parts)


def _tags(spec: SandboxSpec) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(spec.tags.items()))


def _candidate(spec: SandboxSpec) -> str:
    gpu = spec.gpu or "none"
    return f"{gpu} in {', '.join(spec.regions)}" if spec.regions else gpu


def _cpu(spec: SandboxSpec, cloud: str) -> str:
    from trebuchet.plan.compute import MODAL_CORES, MODAL_MEMORY_MIB  # noqa: PLC0415 - other verbs plan nothing

    if spec.cpu is not None:
        cores = f"{spec.cpu:g} physical core{'' if spec.cpu == 1 else 's'}"
    elif cloud == "modal":
        cores = f"Modal's default of {MODAL_CORES:g} physical cores"
    else:
        cores = "the control plane's default"
    if spec.memory_mib is not None:
        memory = f"{spec.memory_mib / 1024:g} GiB of memory"
    elif cloud == "modal":
        memory = f"Modal's default of {MODAL_MEMORY_MIB} MiB of memory"
    else:
        memory = "its default of memory"
    return f"{cores}, {memory}"


def _restarts(restarts: Restarts) -> str:
    codes = [str(reason) for reason in restarts.on if isinstance(reason, int)]
    reasons = ["when it is preempted"] if "preempted" in restarts.on else []
    if codes:
        reasons.append(f"when it ends with {' or '.join(codes)}")
    fails = "when it fails otherwise" if codes else "when it fails"
    if "failure" not in restarts.on:
        return f"at most {restarts.most}, {' or '.join(reasons)}"
    if restarts.most_on_errors is None:
        return f"at most {restarts.most}, {' or '.join([*reasons, fails])}"
    apart = [f"at most {restarts.most} {' or '.join(reasons)}"] if reasons else []
    return "; ".join([*apart, f"at most {restarts.most_on_errors} {fails}"])


def _upload(one: Travelling) -> str:
    upload = one.upload
    amount = f"{one.amount}; the largest: {one.largest}" if one.manifest.count else "nothing is in it"
    return f"{upload.source} to {upload.target} ({upload.role.replace('_', ' ')}): {amount}"


def _volume(volume: VolumeMount) -> str:
    name = volume.name or "one of its own, gone at its end"
    inside = f"/{volume.sub_path}" if volume.sub_path else ""
    return f"{name}{inside} at {volume.path}{' (read-only)' if volume.read_only else ''}"


def _bucket(bucket: BucketMount) -> str:
    place = f"{bucket.store}://{bucket.bucket}/{bucket.prefix}"
    return f"{place} at {bucket.path}{' (read-only)' if bucket.read_only else ''}"


def _script(script: str | None) -> str:
    lines = len((script or "").strip().splitlines())
    if not lines:
        return "none"
    return "1 line" if lines == 1 else f"{lines} lines"
