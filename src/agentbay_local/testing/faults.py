"""Faults on demand: rules that say which requests go wrong, and how.

Rules are looked at in the order they were added; the first that applies is the one that counts.
They may be changed from any thread, while the service runs or before.
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

EVERYTHING = "*"

_count = validators.optional([validators.instance_of(int), validators.ge(1)])


@attrs.frozen
class Call:
    """One request, as rules see it.

    Attributes:
        action: The action; ``callTool`` for a tool called directly at its session; ``PUT`` and
            ``GET`` for the files behind URLs; ``upload`` and ``download`` for movements of files
            between a session and a context.
        form: Its fields, without the key.
    """

    action: str
    form: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Fault:
    """A rule, and what came of it.

    Attributes:
        effect: What happens.
        action: To which action, ``"*"`` for all; see `Call`.
        nth: Only the n-th time that the rest of the rule is met, counted from 1.
        every: Each n-th time.
        probability: Each time with this probability; which ones is a matter of `seed` alone.
        times: At most so often.
        where: Fields that the form must have, with these values.
        when: A further condition.
        seed: The seed of `probability`.
        seen: How often action, `where` and `when` were met.
        hits: How often it happened.
    """

    effect: Effect = attrs.field(validator=validators.instance_of(Effect))
    action: str = attrs.field(default=EVERYTHING, validator=validators.instance_of(str))
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

    def _meant(self, call: Call) -> bool:
        if self.action not in (EVERYTHING, call.action):
            return False
        if isinstance(self.effect, ExpireToken) and not call.form.get("NextToken"):
            return False
        if any(call.form.get(name) != value for name, value in self.where.items()):
            return False
        return self.when is None or self.when(call)

    def met(self, call: Call) -> bool:
        """Tell whether this is the time; each question counts."""
        if not self._meant(call):
            return False
        self.seen += 1
        return (
            (self.times is None or self.hits < self.times)
            and (self.nth is None or self.seen == self.nth)
            and (self.every is None or self.seen % self.every == 0)
            # Drawn for each request, so that the n-th draw belongs to the n-th request.
            and self._random.random() < self.probability
        )

    def as_json(self) -> dict[str, Any]:
        """Return the rule and its counts as JSON values; a condition in Python is left out."""
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
    """Make a rule of JSON values: the name of the effect, its fields, and those of `Fault`.

    Raises:
        ValueError: It is no rule; the message names the field.

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
        action: str = EVERYTHING,
        *,
        nth: int | None = None,
        every: int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        where: Mapping[str, str] | None = None,
        when: Callable[[Call], bool] | None = None,
        seed: int = 0,
    ) -> Fault:
        """Add a rule and return it; its ``hits`` say whether it was met. See `Fault`.

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
        """Add rules that are made already."""
        with self._lock:
            self._rules = (*self._rules, *faults)

    def remove(self, *faults: Fault) -> None:
        """Take rules out; those that are not there are passed over."""
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule not in faults)

    def clear(self) -> None:
        """Take all rules out."""
        with self._lock:
            self._rules = ()

    def strike(self, call: Call, *kinds: type[E]) -> E | None:
        """Return the effect that a call meets, of these types; None if it meets no rule."""
        if self._refresh is not None:
            self._refresh()
        if not self._rules:
            return None
        with self._lock:
            met = [
                (rule, rule.effect)
                for rule in self._rules
                if isinstance(rule.effect, kinds) and rule.met(call)
            ]
            if not met:
                return None
            rule, effect = met[0]
            rule.hits += 1
            return effect
