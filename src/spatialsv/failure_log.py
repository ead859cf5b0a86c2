"""Unforeseen errors: their traceback goes to a file, one line to the user."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import user_cache


def log_failure(name: str, words: Sequence[str], error: Exception) -> str:
    """Write the traceback of an unforeseen error to a file.

    Args:
        name: the command.
        words: the words that follow it.
        error: what was raised.

    Returns:
        The message for the user: where, what, and the file.
    """
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    what = f"{type(error).__name__}: {error}".strip(": ").partition("\n")[0]
    at = traceback.extract_tb(error.__traceback__)[-1]
    line = shlex.join(["spatialsv", name, *words])
    text = "".join([f"{line}\n", *traceback.format_exception(error)])
    message = f"unexpected error ({what}) in {at.filename}:{at.lineno}."
    if out_of_memory:
        message = f"out of memory ({what}). Use smaller batches, images or shards."
    for folder in (user_cache("logs"), Path(tempfile.gettempdir())):
        log = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        with suppress(OSError):
            write_text(log, text)
            return (
                f"{message} The traceback is in {log}; --debug prints it. The command was: {line}"
            )
    return f"{message} --debug prints the traceback. The command was: {line}"
