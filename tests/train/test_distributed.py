"""Two processes on a CPU step as one does, whoever has what in its batches, and resume."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import AutoModelForImageTextToText

from helpers import ranks
from spatialsv.cli import main
from spatialsv.config import from_mapping
from spatialsv.losses.weighting import WeightingConfig
from spatialsv.train import TrainConfig, run

pytestmark = pytest.mark.xdist_group("distributed")

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SMALL = {
    "steps": 2,
    "batch_size": 1,
    "lr_llm": 3e-4,
    "lr_vl_projector": 3e-4,
    "lr_heads": 1e-3,
    "log_steps": 100,
    "label_stride": 4,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
}
TWO = {"copies": {"processes": 2}, "shards": {"processes": 2, "sharded": True}}
# Batches of one sample: a process has text and geometry, or only text, another only geometry.
CUT = {
    "unequal": {
        "arm": "semi",
        "questions_per_sample": 3,
        "packed": True,
        "gradient_checkpointing": True,
        "weighting": {"by": "uncertainty"},
    },
    "stripped": {"arm": "semi", "patch": "stripped"},
}
ROUTED = {  # a step of copies only: a sharded model's gradients are in no process
    "arm": "routed",
    "arms": {"routed": {"tasks": ["depth", "points"], "relation": 2, "pcgrad": True}},
    "weighting": {"by": "uncertainty"},
}
PULLS = {"weighting": {"by": "gradient_norm", "every": 1}, "arm": "semi"}
MOVED = {"arm": "spatialsv", "steps": 3, "save_steps": 1}  # to another number of processes
KILLED = {"arm": "spatialsv", "steps": 3, "save_steps": 1, "lora": {"rank": 4, "dropout": 0.1}}


@pytest.fixture(scope="module")
def ended(job, tiny_mllm, tmp_path_factory) -> Path:
    """All jobs' folders: those of two processes, and their counterparts of one."""
    root = tmp_path_factory.mktemp("distributed")

    def described(name, arm, patch=None, **settings):
        scenes = job.scenes + (job.unlabelled if arm == "semi" else [])
        inputs = {"scenes": scenes, "labels": job.labels, "pseudo": job.pseudo}
        return {key: [str(path) for path in paths] for key, paths in inputs.items()} | {
            "arm": arm,
            "patch": patch,
            "config": SMALL | settings,
            "out": str(root / name),
            "base": str(tiny_mllm),
        }

    every = CUT | {"routed": ROUTED}
    ranks.work([described(f"{name}-one", **s, batch_size=4) for name, s in every.items()])
    alone = MOVED | {"accumulation": 2}
    ranks.work([described("moved-never", **alone)])
    ranks.work([described(f"moved-to-{kind}", **alone, patch="killed") for kind in TWO])
    taps = SMALL["heads"] | {"taps": [2, 2, 3, 4]}
    jobs = [described("pulls", **PULLS, **TWO["copies"], heads=taps)]
    jobs.append(described("routed-copies", **ROUTED, **TWO["copies"], accumulation=2))
    for kind, two in TWO.items():
        jobs += [described(f"{n}-{kind}", **s, **two, accumulation=2) for n, s in CUT.items()]
        jobs.append(described(f"undisturbed-{kind}", **KILLED, **two))
        jobs.append(described(f"killed-{kind}", **KILLED, **two, patch="killed"))
        jobs.append(described(f"killed-{kind}", **KILLED, **two))
        jobs.append(described(f"spoilt-{kind}", "text", "spoilt", **two))
        jobs.append(described(f"moved-to-{kind}", **MOVED, **two))
        jobs.append(described(f"moved-from-{kind}", **MOVED, **two, patch="killed"))
    (root / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run([*TORCHRUN, ranks.__file__, root / "jobs.json"], check=True, timeout=600)
    ranks.work([described(f"moved-from-{kind}", **alone) for kind in TWO])
    return root


def told(folder: Path, rank: int) -> dict:
    return json.loads((folder / f"rank-{rank}.json").read_text())


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{file.name}:{key}": value for file in files for key, value in load_file(file).items()}


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("case", "kind"), [*((case, kind) for case in CUT for kind in TWO), ("routed", "copies")]
)
def test_two_processes_step_as_one_does_on_all_their_samples(ended, case, kind):
    one, two = ended / f"{case}-one", ended / f"{case}-{kind}"
    features = {"relation/l1", "gradient_cosine"} if case == "routed" else {"distill"}
    for own, other in zip(log(one), log(two), strict=True):
        assert own.keys() == other.keys() and {"text", "depth/l2"} | features < own.keys()
        assert other == pytest.approx(own, rel=1e-5, abs=1e-6)
    expected, found = (load_file(folder / "gradients") for folder in (one, two))
    assert found.keys() == expected.keys() and any("heads.points" in name for name in found)
    for name, gradient in expected.items():
        assert_close(found[name], gradient, rtol=1e-5, atol=1e-5 * float(gradient.abs().max()))
    assert_close(tensors(two), tensors(one), rtol=1e-5, atol=2e-6)


def test_weights_that_adapt_are_the_same_in_both_processes(ended):
    first, second = (told(ended / "pulls", rank)["weights"] for rank in (0, 1))
    assert first == second and set(first) == {"text", "distill", "depth", "rays", "points"}
    assert len(set(first.values())) == 5
    assert [line["weight/text"] for line in log(ended / "pulls")[1:]][-1] == first["text"]


@pytest.mark.parametrize("kind", TWO)
def test_a_killed_run_of_two_processes_ends_as_if_it_had_not_been(ended, kind):
    whole, cut = ended / f"undisturbed-{kind}", ended / f"killed-{kind}"
    assert [told(cut, rank)["from"] for rank in (0, 1)] == ["checkpoint-1"] * 2
    assert_close(tensors(cut), tensors(whole), rtol=0, atol=0)
    for name in ("log.jsonl", "manifest.json", "metrics.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert not (cut / ".work").exists()


@pytest.mark.parametrize("kind", TWO)
@pytest.mark.parametrize("way", ["to", "from"])
def test_a_killed_run_goes_on_in_another_number_of_processes(ended, way, kind):
    stayed, moved = ended / "moved-never", ended / f"moved-{way}-{kind}"
    assert told(moved, 0)["from"] == "checkpoint-1"
    for own, other in zip(log(stayed), log(moved), strict=True):
        # The order of sums differs from step 2 on. AdamW divides by the roots of small second
        # moments, which enlarges the rounding in the gradients of the steps that follow.
        rel = 1e-5 if own["step"] <= 2 else 1e-4
        assert other == pytest.approx(own, rel=rel, abs=1e-6)
    hundredth = 0.01 * SMALL["lr_heads"]  # of the largest step of a weight
    assert_close(tensors(moved), tensors(stayed), rtol=1e-5, atol=hundredth)


def test_a_sharded_model_is_whole_in_no_process(ended):
    held = [told(ended / "stripped-shards", rank)["held"] for rank in (0, 1)]
    whole = told(ended / "stripped-copies", 0)["held"]
    assert sum(held) == whole == told(ended / "stripped-copies", 1)["held"]
    assert max(held) < 0.6 * whole


@pytest.mark.parametrize("kind", TWO)
def test_a_loss_that_is_not_finite_in_one_process_stops_both(ended, kind):
    folder = ended / f"spoilt-{kind}"
    for rank in (0, 1):
        assert "step 1: {'text': '2." in told(folder, rank)["met"]
        assert "'total': 'nan'" in told(folder, rank)["met"]
    met = json.loads((folder / ".work/not_finite.json").read_text())
    assert met["values"]["total"] == "nan" and len(met["questions"]) == 1  # the second process's
    assert not (folder / "manifest.json").exists()


def test_a_sharded_run_leaves_a_checkpoint_to_hand_on(ended, tiny_mllm, tmp_path):
    manifest, mine = ended / "undisturbed-shards/manifest.json", tmp_path / "mine"
    assert main(["export", str(manifest), "--out", str(mine)]) == 0
    before = AutoModelForImageTextToText.from_pretrained(tiny_mllm).state_dict()
    after = AutoModelForImageTextToText.from_pretrained(mine).state_dict()
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in moved) and not any("embed" in name for name in moved)


def test_another_number_of_processes_than_the_settings_say_is_told(job, tiny_mllm, tmp_path):
    config = from_mapping(TrainConfig, SMALL | TWO["copies"], "train")
    with pytest.raises(ValueError, match="processes is 2, but 1 run: start them by `torchrun"):
        run("text", 0, job.scenes, [], [], config, tmp_path / "run/manifest.json", base=tiny_mllm)


def test_shards_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"train\.sharded: one process"):
        TrainConfig(sharded=True)
    with pytest.raises(ValueError, match=r"train\.weighting: gradient_norm needs full gradients"):
        TrainConfig(**TWO["shards"], weighting=WeightingConfig(by="gradient_norm"))
