"""The check of ``vmSize``: how sizes are written, which are gone, and what a size must have for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow_batchext.batch.retirements import SIZES, retirement_of
from airflow_batchext.loose_json.documents import quote
from airflow_batchext.pool_spec._check_images import end_of
from airflow_batchext.pool_spec._finding import Findings, error, text_of, warning

_PATH = "properties.vmSize"
_PAGE = "https://learn.microsoft.com/azure/batch/batch-pool-vm-sizes"
_WRITTEN = re.compile(r"(?:Standard|Basic|Experimental|Internal)_[A-Za-z0-9_-]+", re.IGNORECASE)
_BARE = re.compile(
    r"(?:Standard|Basic)?[\s_-]*(?P<rest>[A-Z]{1,3}[0-9][A-Za-z0-9]*(?:[\s_-]+[A-Za-z0-9]+)*)", re.I
)
_GPU = re.compile(r"Standard_N(?P<kind>[CDVG]|CC)\d", re.IGNORECASE)
_AMD = re.compile(r"Standard_(?:NV\d+as_v4|NG\d+.*|.*_MI\d+X?_.*|NV\d+.*_V710_.*)", re.IGNORECASE)


def check_size(properties: Mapping[str, Any], today: date | None) -> Findings:
    """Find what is wrong with a size by itself.

    :param today: the date; without it, ends that are announced are not told.
    """
    size = properties.get("vmSize")
    if not isinstance(size, str) or not size.strip():
        return
    if not _WRITTEN.fullmatch(size.strip()):
        bare = _BARE.fullmatch(size.strip())
        meant = f"STANDARD_{re.sub(r'[^A-Za-z0-9]+', '_', bare['rest']).upper()}" if bare else ""
        what = f"{quote(size)} is not how a size is written"
        fix = f"Write {meant}" if meant else "Write it like STANDARD_D4S_V5"
        # That a size without its first word is refused is likely, not known; one with blanks cannot be.
        yield (error if re.search(r"\s", size.strip()) else warning)(_PATH, what, fix, _PAGE)
        return
    ended = retirement_of(size, SIZES)
    if ended is not None and (ended.is_refused or (today is not None and ended.is_near(today))):
        yield end_of(ended, _PATH, today)


def gpu_of(properties: Mapping[str, Any]) -> str | None:
    """Whose GPU a size has: ``"nvidia"``, ``"amd"``, "" for none; None where no name tells."""
    size = text_of(properties, "vmSize")
    if not _WRITTEN.fullmatch(size):
        return None
    if _AMD.fullmatch(size):
        return "amd"
    return "nvidia" if _GPU.match(size) else ""
