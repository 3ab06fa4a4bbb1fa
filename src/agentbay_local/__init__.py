"""A local AgentBay service: the same wire protocol, with real sandboxes on this machine."""

import sys


def _attach() -> None:
    # Not at import: pytest loads our plugin, and with it this package, before pytest-cov starts to
    # measure. No code of agentbay_async may have run by then.
    from agentbay_async._lazy import attach_stub

    names = ("__getattr__", "__dir__", "__all__")
    globals().update(zip(names, attach_stub(__name__), strict=True))


def __getattr__(name: str) -> object:
    _attach()
    value: object = getattr(sys.modules[__name__], name)
    return value


def __dir__() -> list[str]:
    _attach()
    return dir(sys.modules[__name__])
