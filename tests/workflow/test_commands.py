"""The commands of jobs: quoted, and short enough for the system."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.workflow_copy import ROOT, Copy
from words import MAX_CHARACTERS, as_words

pytestmark = pytest.mark.xdist_group("workflow")
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
HOSTILE = 'external/it\'s $(touch X) `touch X` "m"; touch X #'


def shell_commands(text: str) -> list[str]:
    """The strings of each `shell:` of a file of rules."""
    found = re.findall(r'^    shell:\n((?:        ".*"\n)+)', text, re.MULTILINE)
    assert len(found) == text.count("shell:"), "expected each command as plain strings"
    return found


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_interpolation_of_a_command_is_quoted(path):
    text = path.read_text()
    assert not re.search(r"^    (run|script|notebook|wrapper):", text, re.MULTILINE)
    for command in shell_commands(text):
        fields = re.findall(r"\{[^}]*\}", command)
        assert fields and [field for field in fields if not field.endswith(":q}")] == []


def arguments(copy: Copy, command: str) -> list[str]:
    """The arguments with which a shell command calls `spatialsv`; nothing else is run."""
    script = f'spatialsv() {{ printf "%s\\0" "$@"; }}; tee() {{ cat; }}\n{command}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=copy.root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split("\0")[:-1]


def test_a_path_with_shell_syntax_is_one_argument_and_runs_nothing(copy):
    model = {"path": HOSTILE, "hub": "me/mine", "revision": "0" * 40}
    read = {"files": dict.fromkeys(("train", "test", "unlabelled", "validation"), HOSTILE)}
    overlay = {
        "train": {"base": "mine"},
        "measure": {"lift": ["base"]},
        "models": {"mine": model},
        "scenes": {"source": "photos", "read": read},
        "teachers": {"hostile": {"kind": "depth_pro", "hub": "me/mine", "path": HOSTILE}},
        "labels": {"teacher": "hostile"},
        "evaluate": {"benchmarks": {"cv_bench": {"data": HOSTILE}}},
    }
    (copy.root / "workflow/config/smoke.yaml").write_text(yaml.safe_dump(overlay))
    told = copy.snakemake("-n", "--printshellcmds", "--config", "overlay=smoke")
    assert told.returncode == 0, told.stdout
    commands = re.findall(r"^Shell command: (.*)$", told.stdout, re.MULTILINE)
    escaped = json.dumps(HOSTILE)[1:-1]  # in settings and teachers, which are JSON
    for stage in ("scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate"):
        calls = [arguments(copy, line) for line in commands if f"spatialsv {stage} " in line]
        assert any(HOSTILE in call or escaped in " ".join(call) for call in calls), stage
    (base,) = [
        arguments(copy, line) for line in commands if "cv_bench --data" in line and "/base/" in line
    ]
    assert base[base.index("--model") + 1] == base[base.index("--data") + 1] == HOSTILE
    assert not (copy.root / "X").exists()


def test_a_long_list_is_one_word_that_names_a_file(tmp_path):
    short = ["a b", "$(c)"]
    assert as_words(tmp_path, short) == short
    long = [f"data/scenes/train/{number:04d}.json" for number in range(12_000)]
    (word,) = as_words(tmp_path, long)
    assert json.loads((tmp_path / word.removeprefix("@")).read_text()) == long
    assert as_words(tmp_path, long) == [word]
    assert as_words(tmp_path, [*long, "more"]) != [word]
    at_limit = ["x" * MAX_CHARACTERS]
    assert as_words(tmp_path, at_limit) == at_limit


@pytest.mark.long
def test_twelve_thousand_shards_can_be_planned(copy):
    copy.edit("workflow/config/default.yaml", "train: 768", "train: 12000")
    copy.edit("workflow/config/default.yaml", "shard_size: 96", "shard_size: 1")
    copy.edit("workflow/config/default.yaml", "unlabelled: 96, ", "unlabelled: 1, ")
    copy.edit("workflow/config/default.yaml", "validation: 96, test: 192", "validation: 1, test: 1")
    chosen = (
        "--",
        "train",
        "data/evaluate/rooms/random/0/manifest.json",
        "data/scenes/manifest.json",
    )
    told = copy.snakemake("-n", "--printshellcmds", "--quiet", "reason", "host", *chosen)
    assert told.returncode == 0, told.stdout[-2000:]
    commands = re.findall(r"^Shell command: (.*)$", told.stdout, re.MULTILINE)
    assert len(commands) > 24_000
    assert max(map(len, commands)) < 100_000  # bytes, of 131,072
    (last,) = [
        command for command in commands if "spatialsv scenes" in command and " 11999 " in command
    ]
    assert "--out data/scenes/train/11999.json" in last
    (text,) = [arguments(copy, line) for line in commands if "train --arm text" in line]
    words = text[text.index("--scenes") + 1]
    listed = json.loads(Path(copy.root, words.removeprefix("@")).read_text())
    assert len(listed) == 12_000 and listed[-1] == "data/scenes/train/11999.json"
