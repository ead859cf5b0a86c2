"""What a page's results were made from: date, commit, settings, model and data."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spatialsv.io.manifest import Manifest


def describe_origin(analysis: Manifest, overlay: str = "") -> dict[str, str]:
    """Return what the results were made from, by name; what is not recorded is left out.

    Args:
        analysis: manifest of the stage `analysis`, whose `about` names models and data.
        overlay: name of the run's settings.

    Returns:
        Texts for the top of the page.
    """
    about = analysis.about
    rows = {
        "Report of": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Code": ", ".join(filter(None, [_version(), _commit()])),
        "Overlay": overlay,
        "Base": about.get("base", ""),
        "Teacher": about.get("teachers", ""),
        "Training seeds": about.get("seeds", ""),
        "Data": _join(about.get("data", {})),
        "Libraries": _join(about.get("libraries", {})),
    }
    return {name: text for name, text in rows.items() if text}


def _join(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _version() -> str:
    """Return the version of this package; empty where it runs without an installation."""
    try:
        return f"spatialsv {version('spatialsv')}"
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """Return the commit of this package's sources; empty outside a git working copy of them."""
    folder, own = Path(__file__).parent, Path(__file__).name
    if not _git(folder, "ls-files", own):  # an installed package may lie in another repository
        return ""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    is_changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"commit {commit}, with uncommitted changes" if is_changed else f"commit {commit}"


def _git(folder: Path, *words: str) -> str:
    """Return what git prints; empty if it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
