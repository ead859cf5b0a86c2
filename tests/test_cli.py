"""The command line: parses, reaches the stage, and tells faults in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from spatialsv.cli import CALLS, build_parser, main
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.scenes.question import read_questions


@pytest.mark.parametrize("stage", CALLS)
def test_every_stage_has_help(stage, capsys):
    with pytest.raises(SystemExit) as stop:
        main([stage, "--help"])
    assert stop.value.code == 0
    assert CALLS[stage].__doc__.split()[0] in capsys.readouterr().out


def test_help_does_not_wait_for_torch():
    code = "import sys, spatialsv.cli as c; c.build_parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_lists_may_be_empty():
    line = "train --arm text --seed 0 --scenes a.json b.json --labels --pseudo --out m.json"
    arguments = build_parser().parse_args(line.split())
    assert [str(path) for path in arguments.scenes] == ["a.json", "b.json"]
    assert arguments.labels == arguments.pseudo == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"qestions": 3}', "scenes.qestions: no such setting; did you mean 'questions'?"),
        ('{"questions": "3"}', "scenes.questions: expected int, found '3'"),
        (
            '{"tasks": {"test": ["rotate"]}}',
            "scenes.tasks.test: unknown task 'rotate'. Known: rotation",
        ),
        (
            '{"tasks": {"test": ["around"]}, "rooms": {"motions": ["among"]}}',
            "scenes.tasks.test: task 'around' needs its camera motion",
        ),
        ("{questions: 3}", "--config: not JSON"),
    ],
)
def test_a_fault_of_the_settings_is_one_line_and_exit_2(config, told, tmp_path, capsys):
    line = ["scenes", "--split", "test", "--shard", "0", "--out", str(tmp_path / "0000.json")]
    assert main([*line, "--config", config]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"spatialsv scenes: {told}") and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new"), [("--scorer=x", "--protocol"), ("--replies", "--responses")]
)
def test_a_renamed_option_names_the_new_one(old, new, capsys):
    assert main(["score", "vsi_bench", old]) == 2
    errors = capsys.readouterr().err
    assert f"the option {old} was renamed to {new}." in errors and errors.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path, capsys):
    line = ["--debug", "gather", "--of", "scenes", "--out", str(tmp_path / "m.json"), "gone.json"]
    assert main(line) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_shard_of_scenes_by_hand(tmp_path):
    config = {"shard": 1, "questions": 4, "rooms": {"views": 2, "image_size": 16, "samples": 1}}
    config |= {"tasks": {"test": ["room_size", "object_size"]}}
    out = tmp_path / "scenes/test/0000.json"
    line = ["scenes", "--split", "test", "--shard", "0", "--out", str(out)]
    assert main([*line, "--config", json.dumps(config)]) == 0
    manifest = read_manifest(out)
    assert manifest.stage == "scenes" and manifest.counts["scenes"] == 1
    assert manifest.find(".zarr").is_dir()
    asked = read_questions(manifest.find(".questions.jsonl"))
    assert {question.task for question in asked} == {"room_size", "object_size"}


def shard(folder, name: str, stage: str = "labels"):
    folder.mkdir(parents=True, exist_ok=True)
    payload = folder / f"{name}.bin"
    payload.write_text(name)
    manifest = Manifest(stage=stage, payload={payload.name: digest_path(payload)}, counts={"n": 2})
    write_manifest(folder / f"{name}.json", manifest)
    return folder / f"{name}.json"


def test_gather_sums_and_deletes_what_is_not_listed(tmp_path, capsys):
    kept = [shard(tmp_path / "rooms/train", name) for name in ("0000", "0001")]
    dropped = shard(tmp_path / "rooms/train", "0002")
    other = shard(tmp_path / "exact/train", "0000")
    out = tmp_path / "manifest.json"
    assert main(["gather", "--of", "labels", "--out", str(out), *map(str, kept)]) == 0
    assert not dropped.exists() and not dropped.with_suffix(".bin").exists()
    assert not other.parent.parent.exists()
    manifest = read_manifest(out)
    assert manifest.counts == {"manifests": 2, "n": 4}
    assert sorted(manifest.payload) == ["rooms/train/0000.json", "rooms/train/0001.json"]
    assert str(dropped) in capsys.readouterr().err


def test_gather_spares_what_it_is_told_to(tmp_path):
    listed, spared, dropped = (shard(tmp_path / name, "0000") for name in ("a", "b", "c"))
    out, absent = tmp_path / "manifest.json", tmp_path / "d/0000.json"
    line = ["gather", str(listed), "--of", "labels", "--spare", str(spared), str(absent)]
    assert main([*line, "--out", str(out)]) == 0
    assert list(read_manifest(out).payload) == ["a/0000.json"]
    assert spared.exists() and spared.with_suffix(".bin").exists() and not dropped.exists()


def test_gather_deletes_nothing_when_a_payload_is_gone(tmp_path, capsys):
    lost, bystander = shard(tmp_path / "a", "0000"), shard(tmp_path / "b", "0000")
    lost.with_suffix(".bin").unlink()
    out = tmp_path / "manifest.json"
    assert main(["gather", "--of", "labels", "--out", str(out), str(lost)]) == 2
    assert bystander.exists() and not out.exists()
    assert "0000.bin" in capsys.readouterr().err


def test_gather_refuses_another_stages_manifest(tmp_path, capsys):
    wrong = shard(tmp_path / "a", "0000", stage="scenes")
    line = ["gather", "--of", "labels", "--out", str(tmp_path / "manifest.json"), str(wrong)]
    assert main(line) == 2
    assert "a manifest of stage 'scenes', not of 'labels'" in capsys.readouterr().err
