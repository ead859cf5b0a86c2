"""No bit of an artefact changes unnoticed: on reading, and by `spatialsv verify`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.closing import closing_line
from helpers.manifests import manifest_over
from spatialsv.analysis.tables import write_tables
from spatialsv.benchmarks.responses import read_responses
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig, load_heads, save_heads
from spatialsv.model.mllm import load_mllm
from spatialsv.report.data import read_tables
from spatialsv.scenes.question import read_questions, write_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups, write_store


def flip(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 4
    path.write_bytes(content)


@pytest.fixture
def data(tmp_path: Path, tiny_scenes: Scenes, tiny_questions, tiny_mllm) -> Path:
    """A shard of scenes, a trained model, responses, and tables, as the stages leave them."""
    scenes, train, evaluate, analysis = (
        tmp_path / name for name in ("scenes/test", "train/text/0", "evaluate/text/0", "analysis")
    )
    for folder in (scenes, train, evaluate, analysis):
        folder.mkdir(parents=True)
    for shard in ("0000", "0001"):
        write_store(scenes / f"{shard}.zarr", tiny_scenes.select([int(shard)]))
        write_questions(scenes / f"{shard}.questions.jsonl", tiny_questions)
        names = [f"{shard}.zarr", f"{shard}.questions.jsonl"]
        manifest_over(scenes / f"{shard}.json", "scenes", names)
    shutil.copytree(tiny_mllm, train / "mllm")
    torch.manual_seed(0)
    config = SpatialHeadsConfig(taps=(1, 2, 3, 4), output_size=(16, 16))
    save_heads(SpatialHeads(config, 16), train / "heads")
    manifest_over(train / "manifest.json", "train", ["mllm", "heads"], made_from={"code": "c"})
    (evaluate / "responses.jsonl").write_text('{"id": "1", "response": "A"}\n')
    manifest_over(evaluate / "manifest.json", "evaluate", ["responses.jsonl"])
    names = write_tables(analysis, {"scores": []})
    manifest_over(analysis / "manifest.json", "analysis", names)
    return tmp_path


def read_store(data: Path) -> object:
    return load_groups(read_manifest(data / "scenes/test/0000.json").find(".zarr"))


READERS: dict[str, Callable[[Path], object]] = {
    "scenes/test/0000.zarr/image/c/0/0/0/0/0": read_store,
    "scenes/test/0000.zarr/depth/zarr.json": read_store,
    "scenes/test/0000.zarr/zarr.json": read_store,
    "scenes/test/0000.questions.jsonl": lambda data: read_questions(
        read_manifest(data / "scenes/test/0000.json").find(".questions.jsonl")
    ),
    "train/text/0/mllm/model.safetensors": lambda data: load_mllm(
        resolve_model(data / "train/text/0").checkpoint
    ),
    "train/text/0/mllm/tokenizer.json": lambda data: load_mllm(data / "train/text/0/mllm"),
    "train/text/0/heads/heads.safetensors": lambda data: load_heads(data / "train/text/0/heads"),
    "evaluate/text/0/responses.jsonl": lambda data: read_responses(
        data / "evaluate/text/0/responses.jsonl"
    ),
    "analysis/scores.csv": lambda data: read_tables(read_manifest(data / "analysis/manifest.json")),
}


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_is_an_error_on_reading_and_of_verify(data, name, capsys):
    READERS[name](data)
    assert main(["verify", str(data)]) == 0
    assert capsys.readouterr().out == (
        f"verify: 5 manifests, 9 entries, 0 other stores, no errors; {data}\n"
    )
    flip(data / name)
    with pytest.raises(ValueError, match=r"damaged|Force the rule, or repeat"):
        READERS[name](data)
    assert main(["verify", str(data)]) == 1
    told = capsys.readouterr().out
    artefact = name.partition(".zarr/")[0] + ".zarr" if ".zarr" in name else Path(name).parts[-2]
    assert artefact in told and "1 errors" in told
    remedy = "snakemake --cores all --force" if name.startswith("train") else "Run again"
    assert remedy in told


@pytest.mark.parametrize("name", ["mllm/model.safetensors", "heads/heads.safetensors"])
@pytest.mark.parametrize("harm", ["truncated", "text", "other shapes"])
def test_invalid_weights_of_an_unlisted_checkpoint_are_errors(data, name, harm):
    (data / "train/text/0/manifest.json").unlink()
    path = data / "train/text/0" / name
    if harm == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1")
    else:
        save_file({key: value[:1] for key, value in load_file(path).items()}, path)
    load = load_mllm if name.startswith("mllm") else load_heads
    with pytest.raises(ValueError, match=rf"{path.parent}: "):
        load(path.parent)


def test_another_shards_store_is_refused(data, capsys):
    store = data / "scenes/test/0000.zarr"
    shutil.rmtree(store)
    shutil.copytree(data / "scenes/test/0001.zarr", store)
    with pytest.raises(ValueError, match=r"0000\.zarr: its content is not what .*0000\.json lists"):
        read_store(data)
    assert main(["verify", str(data / "scenes/test/0000.json")]) == 1
    capsys.readouterr()
    assert main(["inspect", str(store)]) == 0
    assert "KiB, not what" in capsys.readouterr().out.splitlines()[0]


def test_inspect_says_what_is_listed(data, capsys):
    assert main(["inspect", str(data / "scenes/test/0000.zarr")]) == 0
    manifest = data / "scenes/test/0000.json"
    assert f" KiB, as {manifest} lists it" in capsys.readouterr().out.splitlines()[0]
    flip(data / "scenes/test/0000.questions.jsonl")
    assert main(["inspect", str(manifest)]) == 0
    told = capsys.readouterr().out
    assert closing_line(told, "inspect") == f"inspect: 2 entries, 1 damaged; {manifest}"
    assert (
        "0000.zarr: unchanged" in told and "0000.questions.jsonl: " in told and "not what" in told
    )


def test_stores_without_a_manifest_are_verified(tmp_path, tiny_scenes, capsys):
    write_store(tmp_path / "s.zarr", tiny_scenes)
    assert main(["verify", str(tmp_path)]) == main(["verify", str(tmp_path / "s.zarr")]) == 0
    flip(tmp_path / "s.zarr/valid/c/0/0/0/0")
    assert main(["verify", str(tmp_path)]) == 1
    assert "valid/c/0/0/0/0 is damaged (digest): valid of the 6 scenes" in capsys.readouterr().out


def test_what_cannot_be_verified_is_an_error(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "x")]) == main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "x: no such file or folder" in told and "contains no manifest and no store" in told
    assert main(["inspect", str(tmp_path / "missing.zarr")]) == 2
    assert "missing.zarr: no such file or folder. Check the path." in capsys.readouterr().err
