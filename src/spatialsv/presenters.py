"""What commands print beyond a closing line. Modules are imported when a command has run."""

from __future__ import annotations

from typing import Any


def show_plan(plan: Any, *, json: bool = False) -> None:
    """Print a training plan.

    Args:
        plan: of `train.plan.plan`.
        json: print the plan as JSON, sizes in bytes

    Raises:
        ValueError: the training cannot run as planned.
    """
    from spatialsv.train.plan import format_plan

    print(format_plan(plan, json))
    if plan.problems:
        raise ValueError("; ".join(plan.problems))


def show_inspection(inspection: Any, *, json: bool = False) -> None:
    """Print the contents of a store.

    Args:
        inspection: of `scenes.store.inspect.inspect`.
        json: print everything as JSON, sizes in bytes
    """
    from spatialsv.scenes.store.inspect import format_inspection

    print(format_inspection(inspection, json))


def show_check(found: Any) -> int:
    """Print the problems of a file of questions, and return the exit code.

    Args:
        found: of `scenes.readers.check.check_data`.

    Returns:
        1 if there are problems, else 0.
    """
    from spatialsv.scenes.readers.check import format_check

    print(format_check(found))
    return 1 if found.problems else 0


def present(manifest: Any) -> None:
    """Print the tables next to a manifest, and make their report.

    Args:
        manifest: of `ablations` or `paper`.
    """
    from spatialsv.report import targets

    targets.present(manifest.path)
