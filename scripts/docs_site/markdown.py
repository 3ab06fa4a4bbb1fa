"""Docstrings as Markdown, with links to public names."""

from __future__ import annotations

import re
from textwrap import dedent

from docs_site.reference import STUB, public_names

_NAMES = public_names(STUB.read_text("utf-8")).modules
_PROMPT = re.compile(r"(?m)^( *)(>>> (?:.*\n)+?)(?=\n|\Z)")
_ROLE = re.compile(r":(?:class|meth|attr|exc|func|mod|pep):`~?([^`]*)`")
_LITERAL = re.compile(r"(?m)^( *)::\n\n((?:\1 +.*\n|\n)+)|^( *)(\S.*):: *\n\n((?:\3 +.*\n|\n)+)")


def to_markdown(text: str) -> str:
    """Return a docstring as Markdown.

    >>> to_markdown("See :class:`~agentbay_async.config.Config`.")
    'See [`Config`][agentbay_async.Config].'
    """
    text = _LITERAL.sub(_fenced, f"{text}\n")
    text = _PROMPT.sub(r"\1```pycon\n\1\2\1```\n", text).rstrip("\n")
    return _ROLE.sub(lambda role: _link(role[1]), text)


def _link(target: str) -> str:
    """Return a link to a public name or its member, or the name as code."""
    if target.isdigit():
        return f"[PEP {target}](https://peps.python.org/pep-{target:0>4}/)"
    first, _, member = re.sub(r"^agentbay_async\.(?:[a-z_]+\.)*", "", target).partition(".")
    shown = f"{first}.{member}" if member else first
    return f"[`{shown}`][agentbay_async.{shown}]" if first in _NAMES else f"`{shown}`"


def _fenced(block: re.Match[str]) -> str:
    """Return a literal block with a fence around it."""
    indent, code = block[1], block[2]
    title = ""
    if indent is None:
        indent, code, title = block[3], block[5], f"{block[3]}{block[4]}:\n\n"
    body = "".join(
        f"{indent}{line}\n" if line else "\n" for line in dedent(code).strip().splitlines()
    )
    return f"{title}{indent}```python\n{body}{indent}```\n\n"
