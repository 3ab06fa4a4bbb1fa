"""The desktop of a session: its display, and the tools that use mouse, keyboard, windows and apps.

`display` starts the X server and the window manager with the first of these tools, and runs the
program in `inside` that carries out requests there. Nothing of this package is imported before.
"""

from __future__ import annotations
