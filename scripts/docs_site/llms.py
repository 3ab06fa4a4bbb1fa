"""``llms.txt``: the pages of the site, one line each, for programs that read them."""

from __future__ import annotations

import re
from typing import NamedTuple


class Entry(NamedTuple):
    """A page: the part of the menu that it is in, its title, its address and its text."""

    part: str
    title: str
    url: str
    markdown: str


def llms_text(name: str, description: str, entries: list[Entry]) -> str:
    """Return the text of ``llms.txt``, see https://llmstxt.org."""
    lines = [f"# {name}", "", f"> {description}"]
    part = ""
    for entry in entries:
        if entry.part != part:
            part = entry.part
            lines += ["", f"## {part}", ""]
        lines.append(f"- [{entry.title}]({entry.url}): {first_sentence(entry.markdown)}")
    return "\n".join(lines) + "\n"


def first_sentence(markdown: str) -> str:
    r"""Return the first sentence of the first paragraph, without links.

    >>> first_sentence("# Title\n\nOne [page](a.md)\nof many. And so on.\n")
    'One page of many.'
    """
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    # Code in tabs is indented.
    paragraphs = (part.rstrip() for part in prose.split("\n\n"))
    text = next((one for one in paragraphs if re.match(r"[A-Za-z*\[]|`(?!``)", one)), "")
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(text.split()))
    return re.split(r"(?<=\.)\s", text)[0]
