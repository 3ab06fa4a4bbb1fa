"""Which engines there are, and what they need."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from agentbay_async.errors import ArgumentTypeError, ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._bulk.distributed.engine import Engine

# For each: the module and class here, and the package of the cluster.
_KINDS = {
    "ray": ("agentbay_async._bulk.distributed.ray", "RayEngine", "ray"),
    "dask": ("agentbay_async._bulk.distributed.dask", "DaskEngine", "distributed"),
}


def engine_named(name: object) -> Engine:
    """Return an engine that is connected to its cluster.

    Raises:
        ArgumentTypeError: The name is no string.
        InvalidArgumentError: There is no such engine.
        ConfigurationError: Its package is missing, or this process is connected to no cluster.
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"engine must be a str or None, not {type(name).__name__}")
    if name not in _KINDS:
        raise InvalidArgumentError(
            f"engine must be one of {', '.join(_KINDS)}, or None for this process; not {name!r}"
        )
    module, kind, package = _KINDS[name]
    if find_spec(package) is None:
        raise ConfigurationError(
            f"engine={name!r} needs the package {package}, which is not installed",
            hint=f"pip install 'agentbay-async[{name}]', here and where the workers are",
        )
    return cast("Callable[[], Engine]", getattr(import_module(module), kind))()
