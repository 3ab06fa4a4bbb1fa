"""A limit of the whole run, handed out in portions to those who work on it at the same time."""

from __future__ import annotations

import attrs


@attrs.define
class Portions:
    """What is left of a number, of which each worker has a part.

    What dead workers held is given back and goes to the others, and those who come later get what
    is given back next: the parts never add up to more than the whole. A scrap much smaller than a
    fair part is kept until there is more.

    Attributes:
        whole: The number.
        counted: Whether it counts things, which cannot be cut; early askers then get the rest.
        free: What nobody has now.
        out: How many have a part.

    Example:
        >>> portions = Portions(10, counted=True)
        >>> portions.take(3), portions.take(3), portions.take(3), portions.take(3)
        (4, 3, 3, None)
    """

    whole: float
    counted: bool = False
    free: float = attrs.field(init=False)
    out: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.free = self.whole

    def take(self, places: int) -> float | None:
        """Return the part of one of so many places, or ``None`` while there is none for it."""
        waiting = max(places - self.out, 1)
        part = -(-self.free // waiting) if self.counted else self.free / waiting
        scrap = 1 if self.counted else self.whole / places / 2
        if part < scrap:
            return None
        self.free -= part
        self.out += 1
        return part

    def give_back(self, part: float) -> None:
        """Take a part back."""
        self.out -= 1
        # With all of them back, what floating point has rounded is right again.
        self.free = self.free + part if self.out else self.whole
