"""Fault injection: rules for requests that go wrong.

Rules are tried in the order in which they were added; the first match counts. They may be changed
from any thread, before the service starts or while it runs.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from attrs import validators

from agentbay_local.testing.fault_actions import Effect, ExpireToken, effect_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Call", "Fault", "Faults", "fault_from_json"]

E = TypeVar("E", bound=Effect)

ANY_ACTION = "*"

_count = validators.optional([validators.instance_of(int), validators.ge(1)])


@attrs.frozen
class Call:
    """One request, as rules see it.

    Attributes:
        action: The action; ``callTool`` for a direct tool call; ``PUT`` and ``GET`` for signed URLs
            of files; ``upload`` and ``download`` for transfers between a session and a context.
        form: Its fields, without the API key.
    """

    action: str
    form: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Fault:
    """A rule and its counts.

    Attributes:
        effect: The fault.
        action: The action that it affects, ``"*"`` for all; see `Call`.
        nth: Strike only the n-th matching call, counted from 1.
        every: Strike every n-th matching call.
        probability: Strike each matching call with this probability; `seed` alone decides which.
        times: Maximum number of strikes.
        where: Fields and values that the form must have.
        when: A further condition.
        seed: The seed of `probability`.
        seen: The number of calls that matched `action`, `where` and `when`.
        hits: The number of strikes.
    """

    effect: Effect = attrs.field(validator=validators.instance_of(Effect))
    action: str = attrs.field(default=ANY_ACTION, validator=validators.instance_of(str))
    nth: int | None = attrs.field(default=None, validator=_count)
    every: int | None = attrs.field(default=None, validator=_count)
    probability: float = attrs.field(
        default=1.0,
        validator=[
            validators.instance_of((int, float)),
            validators.ge(0),
            validators.le(1),
        ],
    )
    times: int | None = attrs.field(default=None, validator=_count)
    where: Mapping[str, str] = attrs.field(factory=dict, validator=validators.instance_of(dict))
    when: Callable[[Call], bool] | None = None
    seed: int = attrs.field(default=0, validator=validators.instance_of(int))
    seen: int = attrs.field(default=0, init=False)
    hits: int = attrs.field(default=0, init=False)
    _random: random.Random = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # no secret

    def _matches(self, call: Call) -> bool:
        if self.action not in (ANY_ACTION, call.action):
            return False
        if isinstance(self.effect, ExpireToken) and not call.form.get("NextToken"):
            return False
        if any(call.form.get(name) != value for name, value in self.where.items()):
            return False
        return self.when is None or self.when(call)

    def strikes(self, call: Call) -> bool:
        """Return whether the rule strikes this call, and count the call."""
        if not self._matches(call):
            return False
        self.seen += 1
        return (
            (self.times is None or self.hits < self.times)
            and (self.nth is None or self.seen == self.nth)
            and (self.every is None or self.seen % self.every == 0)
            # Draw for every matching call, so that the n-th draw belongs to the n-th call.
            and self._random.random() < self.probability
        )

    def as_json(self) -> dict[str, Any]:
        """Return the rule and its counts as JSON values, without `when`."""
        rule = attrs.asdict(
            self, filter=lambda field, value: field.name in _JSON and value != field.default
        )
        options = attrs.asdict(self.effect)
        return {
            "effect": self.effect.name,
            **options,
            **rule,
            "action": self.action,
            "seen": self.seen,
            "hits": self.hits,
        }


_JSON = frozenset({"action", "nth", "every", "probability", "times", "where", "seed"})


def fault_from_json(document: object) -> Fault:
    """Build a rule from JSON values: the name of the effect, its fields, and those of `Fault`.

    Raises:
        ValueError: The rule is invalid; the message names the field.

    Example:
        >>> fault_from_json({"effect": "fail", "status": 500, "nth": 2}).nth
        2
    """
    if not isinstance(document, dict):
        raise ValueError(f"a fault must be an object, not {document!r:.80}")
    options = {name: value for name, value in document.items() if name not in {*_JSON, "effect"}}
    rule = {name: value for name, value in document.items() if name in _JSON}
    effect = effect_from_json(document.get("effect"), options)
    try:
        return Fault(effect, **rule)
    except TypeError as error:
        raise ValueError(f"fault: {error.args[0]!s:.200}") from error


class Faults:
    """The rules of one service.

    Example:
        ::

            service.faults.add(Drop(committed=True), "CreateMcpSession", nth=1)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[Fault, ...] = ()
        self._refresh: Callable[[], None] | None = None

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def add(
        self,
        effect: Effect,
        action: str = ANY_ACTION,
        *,
        nth: int | None = None,
        every: int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        where: Mapping[str, str] | None = None,
        when: Callable[[Call], bool] | None = None,
        seed: int = 0,
    ) -> Fault:
        """Add a rule and return it; its ``hits`` count its strikes. See `Fault`.

        Raises:
            ValueError: A number is out of its range.
            TypeError: A value is of another type.
        """
        fault = Fault(effect, action, nth, every, probability, times, dict(where or {}), when, seed)
        self.include(fault)
        return fault

    def refresh_with(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` before each strike: it brings the rules of a file up to date."""
        self._refresh = refresh

    def include(self, *faults: Fault) -> None:
        """Add existing rules."""
        with self._lock:
            self._rules = (*self._rules, *faults)

    def remove(self, *faults: Fault) -> None:
        """Remove rules; unknown ones are ignored."""
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule not in faults)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules = ()

    def strike(self, call: Call, *types: type[E]) -> E | None:
        """Return the effect that a call meets, of these types; None if it meets no rule."""
        if self._refresh is not None:
            self._refresh()
        if not self._rules:
            return None
        with self._lock:
            matches = [
                (rule, rule.effect)
                for rule in self._rules
                if isinstance(rule.effect, types) and rule.strikes(call)
            ]
            if not matches:
                return None
            rule, effect = matches[0]
            rule.hits += 1
            return effect
