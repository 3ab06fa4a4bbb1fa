"""``agentbay code``: a file of code in a session, with what it shows."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import base64
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, find_session
from agentbay_cli.options import Endpoint, Json, SessionId, Timeout
from agentbay_cli.output import print_message, print_value, write_text

if TYPE_CHECKING:
    from agentbay import CodeEvent, CodeFailure, CodeOutput

__all__ = ["register"]

_LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".r": "r",
    ".java": "java",
}
_PICTURES = {"png": "png", "jpeg": "jpg", "svg": "svg"}
_DEFAULT_TIMEOUT = 60.0
# Characters of standard error, among which an error is looked for.
_REMEMBERED = 64 * 1024


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("code")(code)


def code(
    session_id: SessionId,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The code; - is standard input.")],
    language: Annotated[
        str | None,
        typer.Option("--language", help="python, javascript, r or java; default: by the ending."),
    ] = None,
    pictures: Annotated[
        str | None,
        typer.Option("--pictures", metavar="DIR", help="Where to save the pictures that it shows."),
    ] = None,
    timeout: Timeout = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Run code in a session of the image code_latest; later runs see the names of earlier ones.

    The exit code is 1 if the code fails.
    """
    name = language or _language_of(file)
    text = options.read_text(file)
    if pictures is not None:
        os.makedirs(pictures, exist_ok=True)
    printer = _Printer(pictures, as_json=as_json)
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        with session.code.stream(text, name, timeout=timeout or _DEFAULT_TIMEOUT) as events:
            for event in events:
                printer.show(event)
    return 1 if printer.has_failed else 0


def _language_of(file: str) -> str:
    ending = os.path.splitext(file)[1].lower()
    if ending not in _LANGUAGES:
        raise options.usage_error(f"the language of {file!r} is not known; give --language")
    return _LANGUAGES[ending]


class _Printer:
    """Prints what code writes and shows, as it comes.

    Attributes:
        has_failed: Whether the code ended with an error.
    """

    def __init__(self, pictures: str | None, *, as_json: bool) -> None:
        self.has_failed = False
        self._pictures = pictures
        self._as_json = as_json
        self._saved = 0
        self._errors = ""

    def show(self, event: "CodeEvent") -> None:
        """Print an event."""
        self.has_failed = self.has_failed or event.error is not None
        if self._as_json:
            self._show_json(event)
        elif event.error is not None:
            self._show_failure(event.error)
        elif event.result is not None:
            self._show_result(event.result)
        elif event.kind == "stderr":
            self._errors = (self._errors + event.text)[-_REMEMBERED:]
            write_text(event.text, sys.stderr)
        elif event.text:
            write_text(event.text, sys.stdout)

    def _show_failure(self, failure: "CodeFailure") -> None:
        """Print an error, unless the session has written it to standard error already."""
        if failure.value and failure.value in self._errors:
            return
        is_told = failure.value in failure.traceback and failure.traceback
        text = failure.traceback if is_told else f"{failure.name}: {failure.value}"
        write_text(f"{text}\n", sys.stderr)

    def _show_json(self, event: "CodeEvent") -> None:
        found: dict[str, object] = {"kind": event.kind}
        if event.error is not None:
            found |= {"name": event.error.name, "value": event.error.value}
        elif event.result is not None:
            found |= {one: getattr(event.result, one) for one in event.result.formats()}
        elif event.text:
            found["text"] = event.text
        print_value(found)

    def _show_result(self, result: "CodeOutput") -> None:
        shown = [one for one in result.formats() if one in _PICTURES]
        for name in shown:
            self._save(name, getattr(result, name))
        if result.text is not None and not (shown and self._pictures):
            write_text(f"{result.text}\n", sys.stdout)

    def _save(self, name: str, content: str) -> None:
        if self._pictures is None:
            print_message(f"There is a picture ({name}); to save it, give --pictures DIR")
            return
        self._saved += 1
        path = os.path.join(self._pictures, f"{self._saved}.{_PICTURES[name]}")
        try:
            data = content.encode() if name == "svg" else _decode(content)
        except ValueError:
            print_message(f"A picture ({name}) is damaged, and was not saved")
            return
        with open(path, "wb") as file:
            file.write(data)
        write_text(f"{path}\n", sys.stdout)


def _decode(text: str) -> bytes:
    """Return the bytes of base64, which may have line breaks."""
    return base64.b64decode("".join(text.split()), validate=True)
