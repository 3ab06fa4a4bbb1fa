"""Checks of a built site."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docs_site.reference import STUB, public_names

if TYPE_CHECKING:
    from pathlib import Path

#: What a browser loads with a page, as opposed to links that a reader may follow.
_LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]*\ssrc="?(https?:)?//[^">\s]+'
    r'|data-md-component="?source"?'
    r'|<link[^>]*rel="?(?:stylesheet|preconnect|icon)[^>]*href="?(https?:)?//[^">\s]+'
)


def site_problems(site: Path) -> list[str]:
    """Return what is wrong with the pages: names without description, files of other servers."""
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    return [*_missing_names(site, pages), *_loaded_from_elsewhere(pages)]


def _missing_names(site: Path, pages: dict[Path, str]) -> list[str]:
    text = "\n".join(page for path, page in pages.items() if path.parent == site / "reference")
    shown = set(re.findall(r'id="agentbay_async\.(\w+)"', text))
    names = public_names(STUB.read_text("utf-8"))
    lacking = {*names.modules, *names.aliases} - shown
    return [f"the reference lacks agentbay_async.{name}" for name in sorted(lacking)]


def _loaded_from_elsewhere(pages: dict[Path, str]) -> list[str]:
    return [
        f"{path} loads from another server: {found[0]}"
        for path, page in pages.items()
        for found in _LOADED.finditer(page)
    ]
