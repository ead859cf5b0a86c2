"""What a plan says of a run, against the files that the run leaves."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import FileSystemReader

from helpers.closing import closing_line
from spatialsv.cli import main
from spatialsv.config import from_mapping
from spatialsv.train import TrainConfig, run
from spatialsv.train.disk import DiskUse, check_cache, check_disk
from spatialsv.train.plan import UTILISATION, find_device, plan

SMALL = {
    "steps": 2,
    "batch_size": 2,
    "save_steps": 1,
    "log_steps": 100,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
    "label_stride": 4,
}
LORA = {"lora": {"rank": 4}}


@pytest.fixture
def job_of(job, tiny_mllm, tmp_path):
    def job_of(arm="spatialsv", base=tiny_mllm, **settings):
        scenes = job.scenes + (job.unlabelled if arm == "semi" else [])
        return {
            "arm": arm,
            "seed": 0,
            "scenes": scenes,
            "labels": job.labels,
            "pseudo": job.pseudo,
            "config": from_mapping(TrainConfig, SMALL | settings, "train"),
            "out": tmp_path / "run/manifest.json",
            "base": base,
        }

    return job_of


def size_of(path: Path) -> int:
    """The bytes of the tensors in a file, without its header."""
    return sum(tensor.nbytes for tensor in load_file(path).values())


def checkpoint_bytes(path: Path, part: str) -> int:
    """The bytes of the tensors of `part` in a checkpoint to resume from."""
    entries = FileSystemReader(path).read_metadata().state_dict_metadata.items()
    tensors = [m for name, m in entries if name.startswith(part) and hasattr(m, "size")]
    return sum(one.size.numel() * one.properties.dtype.itemsize for one in tensors)


@pytest.mark.parametrize(
    ("arm", "settings"),
    [
        ("spatialsv", {}),
        ("spatialsv", LORA | {"heads": SMALL["heads"] | {"projectors": "shared"}}),
    ],
    ids=["all", "adapters"],
)
def test_parameters_and_bytes_are_those_of_the_run(job_of, monkeypatch, arm, settings):
    job = job_of(arm, **settings)
    planned = plan(**job, tflops=1.0)
    folder = job["out"].parent
    with monkeypatch.context() as patch:
        patch.setattr("spatialsv.train.stage.save_spatialsv", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # so that the checkpoints stay
            run(**job)
    checkpoint = folder / ".work/checkpoint-2"
    assert checkpoint_bytes(checkpoint, "model.") == planned.disk.weights
    assert checkpoint_bytes(checkpoint, "optimizer.state.") == planned.disk.optimizer
    manifest = run(**job)
    assert size_of(folder / "mllm/model.safetensors") == planned.disk.mllm
    assert size_of(folder / "heads/heads.safetensors") == planned.disk.heads
    adapters = planned.trained["llm"] if settings else 0  # a merged model has none left to count
    assert sum(planned.trained.values()) == manifest.counts["parameters"] + adapters
    assert planned.steps == manifest.counts["steps"] == 2
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    checkpoints = 2 * (planned.disk.weights + planned.disk.optimizer)
    assert written < planned.disk.most
    assert planned.disk.most - checkpoints - planned.disk.mllm - planned.disk.heads < 2**26


def test_a_plan_needs_no_weights_and_no_values(job_of, tiny_mllm, tmp_path, monkeypatch):
    shutil.copytree(tiny_mllm, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    full = plan(**job_of("semi"), tflops=1.0)
    checked = []
    monkeypatch.setattr("spatialsv.train.data.find_invalid_value", checked.append)
    bare = plan(**job_of("semi", base=tmp_path / "bare"), tflops=1.0)
    assert (bare.memory, bare.parameters, bare.disk) == (full.memory, full.parameters, full.disk)
    assert not checked and not (tmp_path / "run").exists()


def test_hours_are_operations_over_speed(job_of):
    one, same = plan(**job_of("text"), tflops=1.0), plan(**job_of("text", steps=4), tflops=2.0)
    assert one.hours == pytest.approx(same.hours) and one.hours > 0
    operations = one.memory.flops * one.steps  # were all batches as long as the longest
    assert 0.5 < one.hours / (operations / (UTILISATION * 1e12) / 3600) <= 1
    assert find_device(job_of()["config"], None, None).flops > 1e6  # measured here


def test_an_encoder_that_is_kept_is_not_computed(job_of):
    plain, kept = (plan(**job_of(cache_vision=on), tflops=1.0) for on in (False, True))
    assert kept.memory.flops < plain.memory.flops
    assert kept.parameters == plain.parameters
    assert kept.memory.kept_mllm == pytest.approx(plain.memory.kept_mllm, rel=0.05)
    assert kept.disk.most > plain.disk.most  # what it gives lies in files


def test_what_the_encoder_gives_must_find_room_beside_the_checkpoints(tmp_path, monkeypatch):
    encoded, out = {"2": torch.zeros(16, 4)}, tmp_path / "manifest.json"
    use = DiskUse(weights=400, optimizer=800, mllm=400, heads=0, most=3600)
    for name in ("encoded/first.safetensors", "checkpoint-1/model.safetensors"):
        path = tmp_path / ".work" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(1000))  # only the checkpoint's will be free again
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10, 0, 5200))
    check_cache(encoded, 11, out, use)
    with pytest.raises(ValueError, match=r"for 12 sets .* 2816 more bytes .* 2600 bytes are free"):
        check_cache(encoded, 12, out, use)


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_small_is_told_before_the_first_step(job_of, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10, 0, 1234567))
    job = job_of("text")
    assert any("disk" in problem for problem in plan(**job, tflops=1.0).problems)
    with pytest.raises(ValueError, match=r"run: .* bytes .* 1234567 bytes .*are free. Make room"):
        run(**job)
    assert not job["out"].parent.exists()


def test_what_a_killed_run_has_written_counts_as_free(tmp_path, monkeypatch):
    use = DiskUse(weights=400, optimizer=800, mllm=400, heads=0, most=3600)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10, 0, 2600))
    out = tmp_path / "run/manifest.json"
    with pytest.raises(ValueError, match=f"{tmp_path}/run: .*3600 bytes.* 2600 bytes"):
        check_disk(out, use)
    left = out.parent / ".work/checkpoint-1"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(bytes(1000))
    check_disk(out, use)


def test_by_the_command_line(job_of, capsys):
    job = job_of()
    line = ["train", "--plan", "--arm", "text", "--seed", "0", "--out", str(job["out"])]
    line += ["--base", str(job["base"]), "--config", json.dumps(SMALL), "--tflops", "1"]
    line += ["--scenes", *map(str, job["scenes"]), "--labels", *map(str, job["labels"])]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["memory"]["peak"] > found["memory"]["weights"] and found["problems"] == []
    assert main([*line, "--gib", "0.001"]) == 2
    out, err = capsys.readouterr()
    assert "memory: " in err and "train.batch_size" in err
    assert "a GPU with 0.001 GiB has" in out and closing_line(out, "train")
    assert f"{found['trained']['llm']:,}" in out
    assert not job["out"].parent.exists()
