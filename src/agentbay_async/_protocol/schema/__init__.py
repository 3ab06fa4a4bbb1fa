"""The schema of the wire: an attrs class for each action's request, and one for its answer.

A request class has these class variables:

* ``ACTION``: the name on the wire,
* ``DATA``: the type of ``Data`` in the answer, or ``None`` for a bare acknowledgement,
* ``REPEATABLE``: whether the request is idempotent, so that it may be sent twice,
* ``IN_QUERY``: the fields that are sent in the query instead of the form,
* ``KEY_MAY_BE_IN_QUERY``: whether the gateway may want the API key in the query,
* ``MAX_ANSWER``: the most bytes that the body of the answer may have.

:mod:`agentbay_async._protocol.codec` derives the names on the wire from the field names
(``session_id`` is ``SessionId``) unless a field has a special one. ``None`` means absent.
"""

from agentbay_async._lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__)
