"""The report's words, and the templates that hold the rest of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader

from spatialsv.report.data import Row
from spatialsv.report.tables import Table, format_interval, format_significance
from spatialsv.viewer import page

KEYS = ("title", "note")


def asset(name: str) -> str:
    """Return the text of a file of this package."""
    return files("spatialsv.report").joinpath(name).read_text()


@cache
def texts() -> dict[str, Any]:
    """Return the contents of texts.yaml."""
    return yaml.safe_load(asset("texts.yaml"))


def make_table(
    name: str, head: Iterable[str], rows: Iterable[Sequence[str]], **values: Any
) -> Table:
    """Return the table `name` of texts.yaml; `values` fill the fields of its title and note."""
    words = texts()["tables"][name]
    title, note = (words.get(key, "").format(tested=texts()["tested"], **values) for key in KEYS)
    return Table(title=title, head=tuple(head), rows=tuple(map(tuple, rows)), note=note)


def arm_label(arm: str) -> str:
    """Return an arm's name in words."""
    return texts()["arms"].get(arm, arm)


def task_label(task: str) -> str:
    """Return the name of a task or a pool of tasks in words."""
    return texts()["tasks"].get(task, task.replace("_", " ").replace("rel ", "relative "))


def source_label(source: str) -> str:
    """Return where depth comes from: `exact`, `teacher:NAME`, `lifted:ARM` or `probed:ARM`."""
    kind, _, name = source.partition(":")
    if kind in ("lifted", "probed"):
        return f"{kind} from {arm_label(name)}"
    return f"teacher {name}" if kind == "teacher" else "ground truth"


@cache
def environment() -> Environment:
    """Return the templates' environment, with the viewer's templates and filters for numbers."""
    made = page.environment(PackageLoader("spatialsv.report", ""))
    made.filters |= {
        "arm": arm_label,
        "interval": _format_interval,
        "percent": lambda value: f"{100 * value:.1f} %",
        "points": lambda value: f"{100 * value:+.1f}",
        "significance": format_significance,
    }
    return made


def _format_interval(row: Row, factor: int = 100, digits: int = 1) -> str:
    return format_interval(row, factor, digits)
