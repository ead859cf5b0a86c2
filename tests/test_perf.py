"""The scripts in perf/ run, and those in examples/ import only names that exist."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MEASUREMENTS = sorted(path for path in (ROOT / "perf").glob("*.py") if path.name != "run.py")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_imported_names_exist(script):
    tree = ast.parse(script.read_text())
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spatialsv"):
            module = import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("script", MEASUREMENTS, ids=lambda path: path.name)
def test_measurement_runs_at_tiny_sizes(script, tmp_path):
    command = [sys.executable, str(script), "--tiny", "--json", str(tmp_path / "figures.json")]
    if script.name == "plan.py":
        command += ["--folder", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    if "Cannot download" in result.stderr:
        pytest.skip("Depth Anything 3's wheel cannot be downloaded")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["conditions"]
    assert found["figures"] and all(row["value"] > 0 for row in found["figures"])
    assert script.name in (ROOT / "docs/performance.md").read_text()


def test_page_of_figures_is_written_between_its_markers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "perf")
    run = import_module("run")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{run.MARKERS[0]}\nold\n{run.MARKERS[1]}\nafter\n")
    monkeypatch.setattr(run, "PAGE", page)
    row = {"comparison": "a / b", "value": 1.234, "unit": "x"}
    run.write_page(run.table("a machine", {"store": {"conditions": "here", "figures": [row]}}))
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert "| a / b | 1.23 x |" in text
