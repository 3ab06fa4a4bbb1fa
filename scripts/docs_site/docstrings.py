"""Extension of griffe: docstrings as Markdown, with links to public names."""

from __future__ import annotations

from typing import Any

import griffe

from docs_site.markdown import to_markdown


class MarkdownDocstrings(griffe.Extension):
    """Turn the roles and literal blocks of docstrings into Markdown."""

    def on_object(self, *, obj: griffe.Object, **_others: Any) -> None:
        """Replace the text of the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_others: Any) -> None:
        """Give attributes without annotation the type of the parameter that sets them."""
        constructor = cls.members.get("__init__")
        if not isinstance(constructor, griffe.Function):
            return
        for parameter in constructor.parameters:
            attribute = cls.members.get(parameter.name)
            if isinstance(attribute, griffe.Attribute) and attribute.annotation is None:
                attribute.annotation = parameter.annotation
