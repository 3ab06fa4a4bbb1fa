"""The framework writes its settings below the home directory when it is imported; not here."""

from __future__ import annotations

import os
import tempfile

# Removed with the process.
_settings = tempfile.TemporaryDirectory()
os.environ["MSWEA_GLOBAL_CONFIG_DIR"] = _settings.name
os.environ["MSWEA_SILENT_STARTUP"] = "1"
