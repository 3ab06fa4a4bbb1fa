"""Hooks of MkDocs: pages written from the code, and each example in both styles.

`./run docs` builds the site with them; see ``mkdocs.yml``.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from docs_site.blocking import to_blocking
from docs_site.llms import Entry, llms_text
from docs_site.project import REPOSITORY, ROOT
from docs_site.reference import navigation, reference_pages
from docs_site.site import site_problems

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page

_navigation: list[Navigation] = []
_FENCE = re.compile(r"^```python (\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(\.\.?/[^)#]+)(?=[)#])")
_TABS = """\
=== "async"

{async_code}
=== "blocking"

{blocking_code}
"""


def on_config(config: MkDocsConfig) -> None:
    """Take the address of the repository from the package, and put the reference into the menu."""
    # Not `repo_url`, for which each page would ask the API of the host for stars and releases.
    source = {"icon": "fontawesome/brands/git-alt", "link": REPOSITORY, "name": "Source"}
    config.extra["social"] = [source]
    config.nav = [
        {"Reference": navigation()} if "Reference" in entry else entry for entry in config.nav or []
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are no files of the documents."""
    pages = {**reference_pages(), "changes.md": (ROOT / "CHANGELOG.md").read_text("utf-8")}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> None:
    """Keep the menu for ``llms.txt``."""
    del config, files  # MkDocs passes them
    _navigation[:] = [nav]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show examples in tabs, and lead links out of the documents to the repository."""
    folder = Path(config.docs_dir).name + "/" + str(Path(page.file.src_uri).parent.as_posix())
    if page.file.src_uri == "changes.md":
        markdown = re.sub(r"\]\(docs/", "](", markdown)
    markdown = _LINK.sub(lambda link: _outside(link[1], folder), markdown)
    return _FENCE.sub(_shown, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Write ``llms.txt``; refuse a site that lacks a public name or needs another server."""
    text = llms_text(config.site_name, config.site_description or "", _entries())
    (Path(config.site_dir) / "llms.txt").write_text(text, "utf-8")
    problems = site_problems(Path(config.site_dir))
    if problems:
        raise PluginError("\n".join(problems))


def _entries() -> list[Entry]:
    """Return the pages of the menu, with the part that they are in."""
    return [
        Entry(
            page.ancestors[-1].title or "" if page.ancestors else "More",
            str(page.title),
            page.url,
            page.markdown or "",
        )
        for navigation in _navigation
        for page in navigation.pages
    ]


def _shown(block: re.Match[str]) -> str:
    """Return the Markdown for a block with a word after ``python``, which MkDocs does not know."""
    kind, code = block.groups()
    if kind == "both":
        return _TABS.format(async_code=_indented(code), blocking_code=_indented(to_blocking(code)))
    return f"```python\n{code}```\n"


def _indented(code: str) -> str:
    lines = ("```python", *code.splitlines(), "```")
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


def _outside(link: str, folder: str) -> str:
    """Return the address in the repository of a file that is not below the documents."""
    path = normpath(join(folder, link))
    return link if path.startswith("docs/") else f"{REPOSITORY}/blob/main/{path}"
