"""What a browser's operator is to do on a page, and what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError

M = TypeVar("M")


def _text(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.text(value, field.name)


def _optional_text(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.text(value, field.name)


def _optional_flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.boolean(value, field.name)


def _optional_count(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.positive_int(value, field.name)


def _schema(_instance: object, _field: attrs.Attribute[Any], value: object) -> None:
    methods = ("model_json_schema", "model_validate")
    if not isinstance(value, type) or not all(hasattr(value, name) for name in methods):
        raise ArgumentTypeError(f"schema must be a pydantic model class, not {value!r}")


def _variables(value: Mapping[str, str] | None) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"variables must be a mapping, not {type(value).__name__}")
    return {_check.text(k, "each variable"): _check.string(v, k) for k, v in value.items()}


@attrs.define
class ActOptions:
    """An action on a page, described in words.

    Attributes:
        action: What to do, such as ``"click the button Sign in"``.
        variables: Values for the names in `action`; they may be secrets.
        use_vision: Let the operator look at the page; ``None`` leaves it to the service.
        timeout: Seconds to wait for the end of the action. Default 300.

    Raises:
        ArgumentTypeError: A value has the wrong type.
        InvalidArgumentError: `action` is blank, or `timeout` is not above 0.

    Example:
        >>> ActOptions("click the first link", timeout=60).timeout
        60
    """

    action: str = attrs.field(validator=_text)
    variables: dict[str, str] | None = attrs.field(default=None, converter=_variables, repr=False)
    use_vision: bool | None = attrs.field(default=None, validator=_optional_flag)
    timeout: int | None = attrs.field(default=None, validator=_optional_count)


@attrs.define
class ActResult:
    """How an action ended; ``bool(result)`` is `success`.

    Attributes:
        success: Whether the page did what was asked.
        message: The steps that were done, or why it failed.
    """

    success: bool
    message: str

    def __bool__(self) -> bool:
        return self.success


@attrs.define
class ObserveOptions:
    """What to look for on a page.

    Attributes:
        instruction: What is looked for, such as ``"the search field"``.
        use_vision: Let the operator look at the page; ``None`` leaves it to the service.
        selector: Look only within the elements of this CSS selector.
        timeout: Seconds to wait. Default 300.

    Raises:
        ArgumentTypeError: A value has the wrong type.
        InvalidArgumentError: A text is blank, or `timeout` is not above 0.
    """

    instruction: str = attrs.field(validator=_text)
    use_vision: bool | None = attrs.field(default=None, validator=_optional_flag)
    selector: str | None = attrs.field(default=None, validator=_optional_text)
    timeout: int | None = attrs.field(default=None, validator=_optional_count)


@attrs.define
class ObserveResult:
    """An element of a page, and what can be done with it; give it to ``act`` to do it.

    Attributes:
        selector: The selector of the element.
        description: What it is.
        method: What can be done, such as ``"click"``.
        arguments: The arguments of `method`; a text that is no JSON object stays a text.
    """

    selector: str
    description: str
    method: str
    # The names of the arguments are the method's.
    arguments: dict[str, Any] | str

    @classmethod
    def from_answer(cls, entry: Mapping[str, Any]) -> ObserveResult:
        """Read one element of an answer; what is missing is an empty text."""
        names = ("selector", "description", "method")
        selector, description, method = (str(entry.get(name) or "") for name in names)
        return cls(selector, description, method, _arguments(entry.get("arguments")))


def _arguments(value: object) -> dict[str, Any] | str:
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, dict) else value
    return dict(value) if isinstance(value, Mapping) else {}


@attrs.define
class ExtractOptions(Generic[M]):
    """What to read from a page, and the model of the answer.

    Attributes:
        instruction: What to read, such as ``"the titles of all articles"``.
        schema: The class of the answer, a pydantic model: it has ``model_json_schema`` and
            ``model_validate``.
        use_text_extract: Read the text of the page; ``None`` leaves it to the service.
        use_vision: Let the operator look at the page; ``None`` leaves it to the service.
        selector: Read only the elements of this CSS selector.
        timeout: Seconds to wait. Default 300.
        max_page: The largest number of pages to read. Default 1.

    Raises:
        ArgumentTypeError: A value has the wrong type, or `schema` is no model.
        InvalidArgumentError: A text is blank, or a number is not above 0.
    """

    instruction: str = attrs.field(validator=_text)
    schema: type[M] = attrs.field(validator=_schema)
    use_text_extract: bool | None = attrs.field(default=None, validator=_optional_flag)
    use_vision: bool | None = attrs.field(default=None, validator=_optional_flag)
    selector: str | None = attrs.field(default=None, validator=_optional_text)
    timeout: int | None = attrs.field(default=None, validator=_optional_count)
    max_page: int | None = attrs.field(default=1, validator=_optional_count)
