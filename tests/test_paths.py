"""Paths on the command line: what is missing or cannot be written is an error before any import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatialsv.cli import main
from spatialsv.commands import COMMANDS, find_command
from spatialsv.paths import check_paths

HEAVY = ("torch", "transformers", "zarr", "numpy")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("lift gone.jpg --out x", "gone.jpg: no such file or folder. Check the path, relative to"),
        ("lift a.jpg --out a.jpg/x", "cannot be written, as"),
        ("train --arm text --seed 0 --out m.json --config gone.yaml", "gone.yaml: no such file"),
    ],
)
def test_an_error_of_a_path_comes_before_heavy_imports(line, error, tmp_path):
    (tmp_path / "a.jpg").touch()
    code = (
        "import sys; from spatialsv.cli import main;"
        f"print(main({line.split()}), [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "2 []\n", done.stderr
    assert error in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a few files, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "a.json", "data/train/a.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def check(line: str) -> None:
    name, *words = line.split()
    check_paths(find_command(name, words), words)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("lift a.jpg gone.jpg --out x", "gone.jpg"),
        ("lift --out x a.jpg gone.jpg", "gone.jpg"),
        ("lift --out=x gone.jpg", "gone.jpg"),
        ("lift --frames 3 gone.jpg --model a/b/gone", "a/b/gone"),
        ("lift --scenes a.json gone.json --out x", "gone.json"),
        ("lift --scenes=gone.json --out x", "gone.json"),
        ("probe --test_scenes gone.json", "gone.json"),
        ("overlap gone vsi_bench", "gone"),
        ("overlap a.jpg ./gone", "./gone"),
        ("train --base gone/manifest.json", "gone/manifest.json"),
        ("labels --scenes gone.json --out x", "gone.json"),
        ("evaluate --scenes a.json --no-image gone.jsonl", "gone.jsonl"),
        ("score vsi_bench --data . --responses gone.jsonl", "gone.jsonl"),
        ("compare a.json --against a.json gone", "gone"),
        ("gather gone.json --of labels --out m.json", "gone.json"),
        ("verify gone", "gone"),
    ],
)
def test_a_missing_input_is_named(line, path, folder):
    with pytest.raises(ValueError, match=rf"^{path}: no such file or folder\. "):
        check(line)


@pytest.mark.parametrize(
    "line",
    [
        "lift a.jpg b.jpg --out new/folder",
        "lift gone.jpg --help",
        "lift --frames 3 gone.jpg --out x",  # the parser knows whether 3 is all that it takes
        "lift a.jpg --config {} --out x",
        "train --base Qwen/Qwen2.5-VL-3B-Instruct --scenes a.json a.json --labels --out m.json",
        "labels --teacher exact --scenes a.json --out x.json",
        'labels --teacher {"a":"b/c/d.json"} --scenes a.json --out x.json',
        "evaluate --model base --scenes a.json --out runs/mine",
        "score vsi_bench --data . --responses a.json --json scores.json",
        "overlap a.jpg vsi_bench",
        "gather a.json --of labels --spare gone.json --out m.json",
        "verify",
    ],
)
def test_names_json_and_outputs_are_no_missing_inputs(line, folder):
    check(line)


def test_long_json_is_no_file_name(folder):
    words = ["--scenes", "a.json", "--config", ' {"x": "' + "y" * 5000 + '"}', "--out", "l.json"]
    check_paths(COMMANDS["labels"], words)


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("a.jpeg", "Did you mean a.jpg?"),
        ("data/train/b/manifest.json", "Run `snakemake --cores all data/train/b/manifest.json`"),
        ("/gone", "Check the path."),
    ],
)
def test_the_advice_names_a_similar_file_or_a_command(path, advice, folder):
    with pytest.raises(ValueError) as caught:
        check(f"inspect {path}")
    assert advice in str(caught.value) and str(folder) not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"inspect", "verify"}))
def test_a_place_without_permission_is_an_error(name, folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder)
    option = f"--{COMMANDS[name].names.get('out', 'out')}"
    assert main([name, option, "new/x.json"]) == 2
    message = f"new/x.json: cannot be written: no permission to write to {folder}."
    assert message in capsys.readouterr().err
    check(f"{name} {option} data/x.json")
