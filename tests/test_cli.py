"""The command line: parses, reaches the stage, and reports errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from spatialsv.cli import COMMANDS, VARIANTS, find_command, load_function, main
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.options import Command, parse
from spatialsv.scenes.question import read_questions
from spatialsv.train import TrainConfig

VARIANT_WORDS = {
    "scenes": ["--source", "mindcube"],
    "train": ["--plan"],
    "lift": ["--scenes"],
    "evaluate": ["--data=x"],
    "verify": ["x.zip"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    for words in [], *([VARIANT_WORDS[name]] if name in VARIANTS else []):
        with pytest.raises(SystemExit) as stop:
            main([name, *words, "--help"])
        assert stop.value.code in (0, None)
        text = capsys.readouterr().out
        assert f"usage: spatialsv {name}" in text and "--help" in text
        assert "(fixed to" not in text  # a type that tyro cannot parse


def test_help_does_not_import_torch_and_a_command_imports_its_own_module_alone():
    code = (
        "import sys; from spatialsv.cli import main; main(['--help']);"
        "print('torch' in sys.modules);"
        "main(['gather', '--of']);"
        "print('torch' in sys.modules, 'spatialsv.train' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["False", "False False"], done.stderr
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def parse_train(*words: str) -> dict:
    how = ["train", "--arm", "text", "--seed", "0", "--out", "m.json", *words]
    command = find_command("train", how[1:])
    return parse(load_function(command.target), how[1:], "train", command)[0]


def test_lists_may_be_empty():
    values = parse_train("--scenes", "a.json", "b.json", "--labels", "--pseudo")
    assert [str(path) for path in values["scenes"]] == ["a.json", "b.json"]
    assert values["labels"] == values["pseudo"] == ()


def test_every_setting_is_an_option_and_wins_over_the_config(tmp_path):
    given = {"steps": 7, "lr_llm": 1, "losses": {"lambda_c": 0.5}}
    text = json.dumps(given)
    assert parse_train("--config", text)["config"] == TrainConfig(
        **{**given, "lr_llm": 1.0, "losses": type(TrainConfig().losses)(lambda_c=0.5)}
    )
    for name, write in (("c.json", json.dumps), ("c.yaml", yaml.safe_dump)):
        (tmp_path / name).write_text(write(given))
        words = ["--steps", "300", "--packed", "--losses.l2", "square", "--heads.taps", *"1234"]
        config = parse_train(f"--config={tmp_path / name}", *words, "--lora", '{"rank": 4}')[
            "config"
        ]
        assert (config.steps, config.packed, config.lr_llm) == (300, True, 1.0)
        assert (config.losses.lambda_c, config.losses.l2) == (0.5, "square")
        assert config.heads.taps == (1, 2, 3, 4) and config.lora.rank == 4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a test."""

    rate: float = 0.5  # metres a second
    kind: Literal["a", "b"] = "a"
    weights: dict[str, float] = field(default_factory=dict)  # by name


def step(inputs: list[Path], config: Settings, depth: str | Path, tag: str | None) -> None:
    """Take a step.

    Args:
        inputs: files to read.
        depth: how deep.
        tag: a name.
    """


def parse_step(*words: str) -> dict:
    command = Command("", "", positional=("inputs",), names={"tag": "label"})
    return parse(step, words, "step", command)[0]


def test_options_come_from_the_signature_and_the_config():
    words = ["a", "b", "--depth", "3", "--label", "x", "--kind", "b", "--weights", '{"y": 2}']
    assert parse_step(*words) == {
        "inputs": (Path("a"), Path("b")),
        "depth": "3",
        "tag": "x",
        "config": Settings(kind="b", weights={"y": 2.0}),
    }
    assert parse_step("--depth", "3") == {
        "inputs": (),
        "depth": "3",
        "tag": None,
        "config": Settings(),
    }


def test_help_has_type_unit_and_default(capsys):
    with pytest.raises(SystemExit):
        parse_step("--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--rate FLOAT metres a second (default: 0.5)" in text
    assert "--depth STR how deep. (required)" in text and "files to read." in text


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--stpes", "3"], "Unrecognized options: --stpes"),
        (["--steps", "many"], "--steps: no type matching {None}|INT"),
        (["--precision", "fp8"], "invalid choice 'fp8' for argument '--precision'"),
        (["--lora", '{"rnk": 3}'], "--lora: rnk: unknown setting. Did you mean 'rank'?"),
        (["--config", "gone.yaml"], "gone.yaml"),
        (["--steps", "None"], "steps None and epochs None"),
    ],
)
def test_an_error_names_the_option_in_one_line(words, error, capsys):
    line = ["train", "--arm", "text", "--seed", "0", "--out", "m.json"]
    assert main([*line, *words]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("spatialsv train: ") and errors.count("\n") == 1
    assert error in errors


def test_an_unknown_command_is_corrected(capsys):
    assert main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"qestions": 3}', "scenes.qestions: unknown setting. Did you mean 'questions'?"),
        ('{"questions": "3"}', "scenes.questions: expected int, found '3'"),
        (
            '{"tasks": {"test": ["rotate"]}}',
            "scenes.tasks.test: unknown task 'rotate'. Known: rotation",
        ),
        (
            '{"tasks": {"test": ["around"]}, "rooms": {"motions": ["among"]}}',
            "scenes.tasks.test: task 'around' needs its camera motion",
        ),
        ("{questions: 3}", "--config: JSON text:1: not JSON"),
    ],
)
def test_a_fault_of_the_settings_is_one_line_and_exit_2(config, told, tmp_path, capsys):
    line = ["scenes", "--split", "test", "--shard", "0", "--out", str(tmp_path / "0000.json")]
    assert main([*line, "--config", config]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"spatialsv scenes: {told}") and errors.count("\n") == 1


def test_an_option_of_a_renamed_setting_names_the_new_one(capsys):
    assert main(["probe", "--scenes", "a.json"]) == 2
    assert "renamed" not in capsys.readouterr().err  # `--scenes` are manifests
    assert main(["scenes", "--config", '{"shard": 3}']) == 2
    assert (
        "scenes.shard: this setting was renamed to 'scenes.shard_size'" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("old", "new"), [("--scorer=x", "--protocol"), ("--replies", "--responses")]
)
def test_a_renamed_option_names_the_new_one(old, new, capsys):
    assert main(["score", "vsi_bench", old]) == 2
    errors = capsys.readouterr().err
    assert f"the option {old} was renamed to {new}." in errors and errors.count("\n") == 1


def test_manifests_record_settings_code_and_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("x")
    job = Path("jobs/0.json")
    write_manifest(job, Manifest(stage="scenes", payload={"../x": digest_path(Path("x"))}))
    digest = digest_path(job)
    line = ["gather", "--of", "scenes", "--out", "jobs/m.json", "jobs/0.json"]
    requested = [*line, "--made-from", "request.json"]
    request = {"settings": "s", "code": "c", "inputs": ["x"]}
    command = digest_bytes(*map(str.encode, requested))
    write_json(Path("request.json"), request | {"command": command})
    assert main(requested) == 0
    inputs = {"jobs/0.json": digest}
    expected = {"settings": "s", "code": "c", "inputs": inputs | {"x": digest_path(Path("x"))}}
    assert read_manifest("jobs/m.json").made_from == expected
    assert main(line) == 0
    assert read_manifest("jobs/m.json").made_from == {"inputs": inputs}


@pytest.mark.parametrize("text", ["{", "[]", '{"code": 1}', "[[]]", "1"])
def test_what_is_not_a_request_of_the_workflow_is_an_error(text, tmp_path, capsys):
    path = tmp_path / "request.json"
    path.write_text(text)
    assert main(["gather", "--of", "scenes", "--made-from", str(path)]) == 2
    assert f"{path}: not a job's request" in capsys.readouterr().err


def test_words_of_a_long_command_are_read_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = [f"jobs/{number} $(touch x).json" for number in range(3)]
    for name in names:
        write_manifest(Path(name), Manifest(stage="scenes", payload={}))
    write_json(Path("list.json"), names)
    assert main(["gather", "@list.json", "--of", "scenes", "--out", "jobs/m.json"]) == 0
    assert read_manifest("jobs/m.json").counts["manifests"] == 3
    Path("list.json").write_text('{"a": 1}')
    assert main(["gather", "@list.json", "--of", "scenes", "--out", "jobs/m.json"]) == 2
    assert "list.json: expected a JSON list of words" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path, capsys):
    line = ["--debug", "gather", "--of", "scenes", "--out", str(tmp_path / "m.json"), "gone.json"]
    assert main(line) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [TypeError("x"), KeyError("x"), RecursionError("deep"), MemoryError(), RuntimeError()]
)
def test_an_unexpected_error_is_one_line_and_a_log(error, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("spatialsv.scenes.verify.verify", fail)
    line = ["verify", "a folder"]
    assert main(line) == 70
    told = capsys.readouterr().err
    (log,) = (tmp_path / "cache/spatialsv/logs").iterdir()
    assert told.startswith("spatialsv verify: ") and told.count("\n") == 1
    assert type(error).__name__ in told and "spatialsv verify 'a folder'" in told
    assert str(log) in told and ("out of memory" in told) == isinstance(error, MemoryError)
    assert "spatialsv verify 'a folder'" in log.read_text() and "Traceback" in log.read_text()
    assert main(["--debug", *line]) == 70 and "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_without_a_place_for_the_log(monkeypatch, tmp_path, capsys):
    def fail(path: Path) -> None:
        raise ZeroDivisionError

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr("spatialsv.scenes.verify.verify", fail)
    assert main(["verify", "x"]) == 70
    assert "unexpected error (ZeroDivisionError" in capsys.readouterr().err


def test_a_shard_of_scenes_by_hand(tmp_path):
    config = {
        "shard_size": 1,
        "questions": 4,
        "rooms": {"views": 2, "image_size": 16, "samples": 1},
    }
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
    assert "expected a manifest of labels, found one of scenes" in capsys.readouterr().err
