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
    assert script.name in (ROOT / "docs/results/performance.md").read_text()


def test_section_of_a_script_is_replaced_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "perf")
    run = import_module("run")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{run.MARKERS[0]}\n{run.MARKERS[1]}\nafter\n")
    monkeypatch.setattr(run, "PAGE", page)
    for script, value in (("store", 9.0), ("evaluate", 2.5), ("store", 1.234)):
        row = {"comparison": "a / b", "value": value, "unit": "x"}
        result = {"conditions": "here", "figures": [row]}
        run.write_section(script, run.section("a machine", result))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert text.index("### `perf/evaluate.py`") < text.index("### `perf/store.py`")
    assert "| a / b | 1.23 x |" in text and "| a / b | 2.5 x |" in text and "9 x" not in text
