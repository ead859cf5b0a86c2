"""Errors of libraries on invalid configs and weights, as errors of the input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError


@contextmanager
def checkpoint_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what libraries raise on invalid configs and weights into errors that name `path`.

    Raises:
        ValueError: the files at `path` cannot be loaded.
        OutOfMemoryError: they can, but not by this device.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (SafetensorError, RuntimeError, TypeError, AttributeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{path}: cannot be loaded as a checkpoint ({reason}).") from error
