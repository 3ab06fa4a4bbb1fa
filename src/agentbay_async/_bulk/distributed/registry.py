"""Registry of engines: their names, and the packages that they need."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from agentbay_async.errors import ArgumentTypeError, ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._bulk.distributed.engine import Engine

# The module and the class of each engine, and the package that the module imports.
_ENGINES = {
    "ray": ("agentbay_async._bulk.distributed.ray", "RayEngine", "ray"),
    "dask": ("agentbay_async._bulk.distributed.dask", "DaskEngine", "distributed"),
}


def get_engine(name: object) -> Engine:
    """Return an engine that is connected to its cluster.

    Raises:
        ArgumentTypeError: The name is not a string.
        InvalidArgumentError: There is no engine of this name.
        ConfigurationError: Its package is missing, or this process is connected to no cluster.
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"engine must be a str or None, not {type(name).__name__}")
    if name not in _ENGINES:
        raise InvalidArgumentError(
            f"engine must be one of {', '.join(_ENGINES)}, or None for this process; not {name!r}"
        )
    module, class_name, package = _ENGINES[name]
    if find_spec(package) is None:
        raise ConfigurationError(
            f"engine={name!r} needs the package {package}, which is not installed",
            hint=f"pip install 'agentbay-async[{name}]', here and on the workers",
        )
    return cast("Callable[[], Engine]", getattr(import_module(module), class_name))()
