"""Processes that are killed: what they were at must be whole afterwards."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

FORK = multiprocessing.get_context("fork")  # a new interpreter would take seconds to import torch


def started(work: Callable[..., Any], *arguments: Any) -> multiprocessing.Process:
    process = FORK.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def killed(process: multiprocessing.Process, seconds: float) -> bool:
    """`process` after so long: True if it had to be killed (by SIGKILL), False if it was done.

    Raises:
        AssertionError: it failed.
    """
    process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9), process.exitcode
    return process.exitcode != 0
