"""The end of an iterator whose last item did not reach the caller."""

from __future__ import annotations


class NotDelivered(GeneratorExit):  # not an error, like GeneratorExit
    """Thrown into a generator instead of GeneratorExit if the caller never got its last item.

    A thread that waits for the item may be interrupted just when the item is ready.
    """
