"""One attrs class for each action's request, and one for what it answers.

A request class carries the facts of its action:

* ``ACTION``: the name on the wire,
* ``DATA``: the type of ``Data`` in the answer, or ``None`` for a bare acknowledgement,
* ``REPEATABLE``: whether sending it twice does no more than sending it once,
* ``IN_QUERY``: the fields that travel in the query instead of the form.

Field names are ours; :mod:`agentbay_async._protocol.codec` derives the wire's names
(``session_id`` is ``SessionId``) unless a field says otherwise. ``None`` means absent.
"""

from agentbay_async._lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__)
