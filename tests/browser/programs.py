"""The browser in which the web page is tested."""

from __future__ import annotations

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome")
NEEDS = "the tests of the web page need Chromium (Debian: apt-get install chromium) and playwright from PyPI"


def chromium() -> str | None:
    """The program, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)
