"""Values that can also be read like the dictionaries of the official client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class KeyedValue(Mapping[str, Any]):
    """A value whose attributes also answer to the keys of the official client.

    Attributes:
        keys_of_attributes: The attributes by these keys.
    """

    __slots__ = ()

    keys_of_attributes: ClassVar[Mapping[str, str]] = {}

    # Any: a text, a number or a flag, depending on the key.
    def __getitem__(self, key: str) -> Any:
        if key not in self.keys_of_attributes:
            raise KeyError(key)
        return getattr(self, self.keys_of_attributes[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_of_attributes)

    def __len__(self) -> int:
        return len(self.keys_of_attributes)
