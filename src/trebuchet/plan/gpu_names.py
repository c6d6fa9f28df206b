"""GPU names: what job files call them, and what Modal calls them."""

from __future__ import annotations

import difflib
import re

MODAL_GPUS = (
    "T4",
    "L4",
    "A10",
    "L40S",
    "A100",
    "A100-80GB",
    "RTX-PRO-6000",
    "H100",
    "H100!",
    "H200",
    "B200",
    "B200+",
)
"""As Modal spells them, cheapest first."""

_MOST = {"A10": 4}
_MOST_OF_OTHERS = 8

_SAME = {
    "a100-40gb": "A100",
    "a100-40g": "A100",
    "a100-80g": "A100-80GB",
    "a10g": "A10",
    "h100-80gb": "H100",
    "h100-80gb-hbm3": "H100",
    "h100-mega-80gb": "H100",
    "h200-141gb": "H200",
    "b200-180gb": "B200",
    "b200-192gb": "B200",
    "l40s-48gb": "L40S",
    "l4-24gb": "L4",
    "t4-16gb": "T4",
    "a10-24gb": "A10",
    "a10g-24gb": "A10",
    "rtxpro6000": "RTX-PRO-6000",
    "rtx-pro6000": "RTX-PRO-6000",
    "rtxpro-6000": "RTX-PRO-6000",
    "rtx6000-pro": "RTX-PRO-6000",
    **{name.lower(): name for name in MODAL_GPUS},
}

_INSTEAD = {
    "V100": "A100",
    "V100-32GB": "A100",
    "P100": "T4",
    "P4": "T4",
    "K80": "T4",
    "M60": "T4",
    "T4G": "T4",
    "L40": "L40S",
    "A40": "L40S",
    "A6000": "L40S",
    "RTXA6000": "L40S",
    "RTX6000": "L40S",
    "RTX6000-ADA": "L40S",
    "RTX3090": "A10",
    "RTX4090": "L4",
    "RTX5090": "RTX-PRO-6000",
    "GH200": "H200",
    "B300": "B200+",
    "GB200": "B200",
    "GB300": "B200+",
    "MI300": "H200",
    "MI300X": "H200",
    "MI250": "A100-80GB",
    "GAUDI": "A100-80GB",
    "GAUDI2": "A100-80GB",
    "GAUDI3": "H100",
}

_MEMORY_GB = {
    "T4": 16,
    "L4": 24,
    "A10": 24,
    "A100": 40,
    "L40S": 48,
    "A100-80GB": 80,
    "H100": 80,
    "RTX-PRO-6000": 96,
    "H200": 141,
    "B200": 180,
}
"""Of each GPU, as it is sold; the smallest first, and of equal ones the cheaper."""

_RTX = re.compile(r"\b(RTX)[-_ ](?=\d|A\d)", re.IGNORECASE)
_FORM_FACTOR = re.compile(r"-(?:sxm\d?|pcie|nvlink|hbm\d\w?)(?=-|$)", re.IGNORECASE)


def same_name(name: str) -> str:
    """A name to compare by: what is one GPU gets one name, whoever spelled it."""
    plain = _RTX.sub(r"\1", _FORM_FACTOR.sub("", name.strip()))
    return _SAME.get(plain.lower(), plain.upper())


def modal_name(name: str) -> str | None:
    """Modal's name for a GPU, or None where Modal has none such."""
    known = same_name(name)
    return known if known in MODAL_GPUS else None


def by_memory(gb: float, *, or_more: bool) -> list[str]:
    """Modal's GPUs with just so many GB each, or at least so many; the smallest first."""
    return [name for name, has in _MEMORY_GB.items() if has == gb or (or_more and has > gb)]


def most(name: str) -> int:
    """How many of a GPU a sandbox can have on Modal."""
    return _MOST.get(name, _MOST_OF_OTHERS)


def nearest(name: str) -> str | None:
    """What comes nearest on Modal to a GPU that is not there; None where nothing does."""
    known = same_name(name)
    if known in _INSTEAD:
        return _INSTEAD[known]
    close = difflib.get_close_matches(known, MODAL_GPUS, n=1)
    return close[0] if close else None
