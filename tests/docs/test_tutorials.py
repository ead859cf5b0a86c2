"""The tutorials run as a reader would paste them; trainings take two steps."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from helpers.workflow_copy import Copy, make_copy
from spatialsv.cli import main

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/tutorials"
TUTORIALS = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
FEWER = (r"--steps \d+", "--steps 2")


def run_tutorial(name: str, copy: Copy | None = None) -> None:
    """Run the Python and shell blocks of a page in order, in the current folder."""
    names: dict = {}
    text = (FOLDER / f"{name}.md").read_text()
    for language, block in re.findall(
        r"^```(python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    ):
        if language == "python":
            exec(compile(block, name, "exec"), names)
            continue
        for line in re.sub(*FEWER, block).replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line, comments=True)
            if program == "spatialsv":
                assert main(words) == 0, line
            else:
                done = copy.run(program, *words)
                assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [name for name in TUTORIALS if name != "reproduce-paper"])
def test_a_tutorial_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_tutorial(name)
    printed = capsys.readouterr().out
    if name == "own-mllm":
        assert "compare: 3 comparisons" in printed
        after, exported = (
            json.loads(Path(f"scores/{run}/scores.json").read_text())
            for run in ("after", "exported")
        )
        settings = after.pop("settings"), exported.pop("settings")
        assert after == exported
        assert settings[0].pop("weights") != settings[1].pop("weights")  # of other files
        assert settings[0] == settings[1]
    if name == "score-responses":
        assert "(official): 4 questions, score 75.00 %" in printed
        assert "(vlmevalkit): 4 questions, score 100.00 %" in printed


def test_the_paper_is_planned(tmp_path):
    run_tutorial("reproduce-paper", make_copy(tmp_path))


def test_every_block_of_a_tutorial_has_a_known_language():
    for name in TUTORIALS:
        text = (FOLDER / f"{name}.md").read_text()
        opened = re.findall(r"^```(\w*)\n.*?^```$", text, re.DOTALL | re.MULTILINE)
        assert opened and set(opened) <= {"python", "sh", "yaml", "console", "text"}
