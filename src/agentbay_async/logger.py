"""Logging: the logger of this library, and handlers for programs that have none of their own.

The library logs to :mod:`logging` under the name ``agentbay`` and sets up nothing by itself.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agentbay_async._paths import data_dir
from agentbay_async.errors import InvalidArgumentError

_NAME = "agentbay"
_FORMAT = "%(asctime)s | %(levelname)-8s | %(name)s | %(message)s"
_COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 35}
_SIZES = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_TIMES = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000}
# Rotated files to keep, unless they are too old.
_BACKUPS = 10


def get_logger(name: str = _NAME) -> logging.Logger:
    """Return the library's logger, or one below it that has its level and handlers.

    Args:
        name: ``"agentbay"`` for the library's own; any other name for one of the program's.

    Example:
        >>> get_logger("my-agent").name
        'agentbay.my-agent'
    """
    return logging.getLogger(name if name == _NAME else f"{_NAME}.{name}")


#: The library's logger.
log = get_logger()


class AgentBayLogger:
    """Set up the logger ``agentbay`` for programs that do not configure :mod:`logging`.

    Example:
        ::

            AgentBayLogger.setup(level="DEBUG", log_file="agent.log", max_file_size="50 MB")
    """

    @classmethod
    def setup(
        cls,
        level: str = "INFO",
        log_file: str | os.PathLike[str] | None = None,
        enable_console: bool = True,
        enable_file: bool = True,
        rotation: str | None = None,
        retention: str = "30 days",
        max_file_size: str | None = None,
        colorize: bool | None = None,
        force_reinit: bool = True,
    ) -> None:
        """Write the log to the console and to a file.

        Args:
            level: ``"DEBUG"``, ``"INFO"``, ``"WARNING"``, ``"ERROR"`` or ``"CRITICAL"``.
            log_file: The file; by default that of the variable ``AGENTBAY_LOG_FILE``, or
                ``agentbay.log`` in the working directory, or in the user's directory for data if
                the working directory cannot be written to. It is made with the first record.
            enable_console: Write to the standard error.
            enable_file: Write to the file.
            rotation: The older name of `max_file_size`.
            retention: Age, such as ``"7 days"``, at which rotated files are deleted.
            max_file_size: Size, such as ``"50 MB"``, at which a new file begins. Default 10 MB.
            colorize: Colour the levels on the console; ``None`` does so on a terminal.
            force_reinit: Replace what an earlier call has set up; otherwise that stays.

        Raises:
            InvalidArgumentError: A level, a size or an age cannot be read.
        """
        size = int(_measure(max_file_size or rotation or "10 MB", "max_file_size", _SIZES))
        age = _measure(retention, "retention", _TIMES)
        cls.set_level(level)
        ours = [handler for handler in log.handlers if handler.get_name() == _NAME]
        if ours and not force_reinit:
            return
        for handler in ours:
            log.removeHandler(handler)
            handler.close()
        if enable_console:
            coloured = sys.stderr.isatty() if colorize is None else colorize
            _add(logging.StreamHandler(), _Coloured(_FORMAT) if coloured else None)
        if enable_file:
            path = Path(log_file or os.environ.get("AGENTBAY_LOG_FILE") or _default_file())
            path.parent.mkdir(parents=True, exist_ok=True)
            _add(_Rotating(path, size, age))

    @classmethod
    def get_logger(cls, name: str | None = None) -> logging.Logger:
        """Return the library's logger, or one below it; see :func:`get_logger`."""
        return get_logger(name or _NAME)

    @classmethod
    def set_level(cls, level: str) -> None:
        """Log only what is at least as important as `level`.

        Raises:
            InvalidArgumentError: There is no such level.
        """
        if str(level).upper() not in _COLOURS:
            raise InvalidArgumentError(f"level must be one of {', '.join(_COLOURS)}, not {level!r}")
        log.setLevel(level.upper())


class _Coloured(logging.Formatter):
    """Colours the level."""

    def format(self, record: logging.LogRecord) -> str:
        text, level = super().format(record), record.levelname
        return text.replace(level, f"\033[{_COLOURS.get(level, 0)}m{level}\033[0m", 1)


class _Rotating(RotatingFileHandler):
    """Deletes rotated files that are too old, whenever a new file begins."""

    def __init__(self, path: str | os.PathLike[str], size: int, age: float) -> None:
        super().__init__(path, maxBytes=size, backupCount=_BACKUPS, encoding="utf-8", delay=True)
        self._age = age

    def doRollover(self) -> None:  # noqa: N802  # overrides RotatingFileHandler.doRollover
        super().doRollover()
        name = Path(self.baseFilename)
        for backup in name.parent.glob(f"{name.name}.*"):
            if backup.suffix[1:].isdigit() and time.time() - backup.stat().st_mtime > self._age:
                backup.unlink(missing_ok=True)


def _default_file() -> Path:
    file = Path("agentbay.log")
    writable = os.access(file if file.exists() else ".", os.W_OK)
    # Not the directory for temporary files: there, others could make a link of that name.
    return file.absolute() if writable else data_dir(os.environ) / file


def _add(handler: logging.Handler, formatter: logging.Formatter | None = None) -> None:
    handler.set_name(_NAME)
    handler.setFormatter(formatter or logging.Formatter(_FORMAT))
    log.addHandler(handler)


def _measure(text: str, name: str, units: dict[str, int]) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+?)s?", str(text).strip().lower())
    unit = units.get(found[2]) if found else None
    if found is None or unit is None:
        raise InvalidArgumentError(
            f"{name} must be a number and a unit, such as '10 mb' or '7 days', not {text!r}"
        )
    return float(found[1]) * unit
