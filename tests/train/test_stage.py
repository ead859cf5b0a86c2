"""Training: artefacts, exact resumption, a loss that falls, arms that learn what they say."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spatialsv.config import from_mapping
from spatialsv.io.manifest import read_manifest
from spatialsv.model.spatialsv import load_spatialsv
from spatialsv.model.vision_cache import CachedVisionEncoder
from spatialsv.optim.log import StepLog, read_log
from spatialsv.optim.loop import Loop
from spatialsv.train import TrainConfig, run
from spatialsv.train.objective import arm_losses

SMALL = {
    "batch_size": 4,
    "lr_llm": 3e-4,
    "lr_vl_projector": 3e-4,
    "lr_heads": 1e-3,
    "log_steps": 100,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
    "label_stride": 4,
}


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def train(job, tiny_mllm, tmp_path):
    def train(arm="spatialsv", out="run", seed=0, **settings):
        config = from_mapping(TrainConfig, SMALL | settings, "train")
        path = tmp_path / out / "manifest.json"
        scenes = job.scenes + (job.unlabelled if arm == "semi" else [])
        run(arm, seed, scenes, job.labels, job.pseudo, config, path, base=tiny_mllm)
        return path.parent

    return train


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{file.name}:{key}": value for file in files for key, value in load_file(file).items()}


def same(one: Path, other: Path) -> bool:
    first, second = tensors(one), tensors(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def kill_at(monkeypatch, step):
    """Let the run die right after `step` was logged, as a kill would."""
    write = StepLog.write

    def dying(self, line):
        write(self, line)
        if line["step"] == step:
            raise KilledError

    monkeypatch.setattr(StepLog, "write", dying)


def test_a_finished_run_leaves_a_loadable_model_and_a_manifest(train):
    folder = train(steps=2)
    names = {path.name for path in folder.iterdir()}
    assert names == {"mllm", "heads", "log.jsonl", "metrics.json", "manifest.json"}
    manifest = read_manifest(folder / "manifest.json")
    assert set(manifest.payload) == names - {"manifest.json"}
    assert manifest.about["attention"] == "sdpa" and manifest.about["seed"] == 0
    assert {"scenes", "labels"} == set(manifest.about["data"])
    assert manifest.about["images"] == {"sources": ["planes"], "size": [32, 32]}
    model = load_spatialsv(folder)
    assert model.heads.config.feature_channels == 8 and model.family.tokenizer.chat_template


def test_packed_questions_train_all_arms_and_leave_a_plain_checkpoint(train):
    folder = train("semi", steps=2, questions_per_sample=3, packed=True)
    assert all(line["text"] > 0 for line in read_log(folder / "log.jsonl"))
    assert read_manifest(folder / "manifest.json").about["attention"] == "packed_questions"
    model = load_spatialsv(folder)
    assert model.mllm.config.get_text_config()._attn_implementation == "sdpa"


def test_a_killed_run_ends_as_if_it_had_not_been(train, monkeypatch):
    settings = {"steps": 6, "save_steps": 2, "questions_per_sample": 2, "accumulation": 2}
    whole = train("semi", "whole", batch_size=3, **settings | {"steps": 6})
    with monkeypatch.context() as patch:
        kill_at(patch, 5)
        with pytest.raises(KilledError):
            train("semi", "cut", batch_size=3, **settings)
    work = whole.parent / "cut/.work"
    assert not (whole.parent / "cut/manifest.json").exists()
    assert len(read_log(work / "log.jsonl")) == 5
    (work / ".checkpoint-6").mkdir()  # the kill may fall into the writing of a checkpoint
    (work / ".checkpoint-6/__0_0.distcp").write_bytes(b"half")
    cut = train("semi", "cut", batch_size=3, **settings)
    assert same(whole, cut)
    assert (whole / "log.jsonl").read_bytes() == (cut / "log.jsonl").read_bytes()
    one, other = (json.loads((path / "manifest.json").read_text()) for path in (whole, cut))
    assert one == other
    assert not work.exists()


def test_a_run_killed_after_its_last_step_only_finishes(train, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("spatialsv.train.stage.save_spatialsv", _die)
        with pytest.raises(KilledError):
            train("text", steps=2)
    assert same(train("text", steps=2), train("text", "other", steps=2))


def _die(*args):
    raise KilledError


def test_checkpoints_of_other_settings_are_refused_and_kept(train, monkeypatch, tmp_path):
    given = {"steps": 3, "save_steps": 1}
    with monkeypatch.context() as patch:
        kill_at(patch, 2)
        with pytest.raises(KilledError):
            train("text", "one", **given)
    work = tmp_path / "one/.work"
    kept = sorted(path.name for path in work.iterdir())
    expected = (
        r"one/\.work: found checkpoint-1 .*config\.lr_llm: 0\.0003 then, 0\.01 now;"
        r" config\.max_grad_norm: 1\.0 then, 2\.0 now.*delete .*one/\.work"
    )
    with pytest.raises(ValueError, match=expected):
        train("text", "one", **given, lr_llm=1e-2, max_grad_norm=2.0)
    with pytest.raises(ValueError, match=r"\(seed: 0 then, 1 now\)"):
        train("text", "one", seed=1, **given)
    assert sorted(path.name for path in work.iterdir()) == kept
    assert same(train("text", "one", **given), train("text", "other", **given))


def test_a_killed_run_may_continue_with_other_technical_settings(train, monkeypatch, capfd):
    whole = train("text", "whole", steps=4, accumulation=2)
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(KilledError):
            train("text", "cut", steps=4, accumulation=2, save_steps=2)
    technical = {"save_steps": 3, "log_steps": 1, "workers": 1, "gradient_checkpointing": True}
    cut = train("text", "cut", steps=4, accumulation=2, **technical)
    assert "step 2/4  resumed from a checkpoint" in capfd.readouterr().err
    assert same(whole, cut)
    assert (whole / "log.jsonl").read_bytes() == (cut / "log.jsonl").read_bytes()


def test_a_killed_run_does_not_continue_with_smaller_steps(train, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 2)
        with pytest.raises(KilledError):
            train("text", "one", steps=3, save_steps=1, accumulation=2)
    with pytest.raises(ValueError, match=r"\(passes: 2 then, 1 now\)"):
        train("text", "one", steps=3, save_steps=1)


def test_the_seed_decides(train):
    assert not same(train(steps=1, seed=0), train(out="b", steps=1, seed=1))


def test_the_vision_encoder_stays_and_its_merger_moves(train, tiny_mllm):
    before = load_file(tiny_mllm / "model.safetensors")
    after = load_file(train("text", steps=2) / "mllm/model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    vision = {name for name in before if "visual" in name}
    assert moved & vision == {name for name in vision if "merger" in name}
    assert any("layers.0" in name for name in moved)


@pytest.mark.parametrize(
    ("arm", "terms"),
    [
        ("text", {"text"}),
        ("no_image", {"text"}),
        ("distill", {"text", "distill"}),
        ("spatialsv", {"text", "distill", "depth/l2", "rays/conf", "points/normal", "depth/grad"}),
        ("depth_only", {"depth/l2", "depth/conf", "depth/grad"}),
        ("related", {"text", "relation/l1", "relation/cosine"}),
    ],
)
def test_an_arm_logs_its_own_terms(train, arm, terms):
    arms = {"depth_only": {"text": False, "tasks": ["depth"]}, "related": {"relation": -1}}
    folder = train(arm, steps=1, arms=arms)
    (line,) = read_log(folder / "log.jsonl")
    spatial = {name for name in line if "/" in name}
    found = {"text", "distill"} & line.keys() | spatial
    assert terms <= found
    assert bool(spatial) == (arm in ("spatialsv", "depth_only", "related"))
    parts = sum(line[name] for name in found)
    assert line["loss"] == pytest.approx(parts, rel=1e-5)


def test_training_overfits_a_few_questions(train):
    rates = {"lr_llm": 5e-3, "lr_vl_projector": 5e-3, "lr_heads": 5e-3}
    folder = train(steps=40, batch_size=6, questions_per_sample=3, **rates)
    lines = read_log(folder / "log.jsonl")
    first, last = lines[0], lines[-1]
    assert last["text"] < 0.5 * first["text"]
    assert last["depth/l2"] < 0.5 * first["depth/l2"]
    assert last["distill"] < first["distill"] - 0.05
    assert last["loss"] < first["loss"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_questions(
    train, tmp_path, monkeypatch
):
    calls = []

    def spoilt(*args):
        terms = arm_losses(*args)
        calls.append(1)
        return terms if len(calls) < 3 else terms | {"total": terms["total"] * float("nan")}

    monkeypatch.setattr("spatialsv.train.objective.arm_losses", spoilt)
    with pytest.raises(FloatingPointError, match=r"step 2: .*'total': 'nan'\}; .*not_finite.json"):
        train("text", "spoilt", steps=3, batch_size=2, accumulation=2, save_steps=1)
    work = tmp_path / "spoilt/.work"
    told = json.loads((work / "not_finite.json").read_text())
    assert told["step"] == 2 and len(told["questions"]) == 2  # of the first half of step 2
    assert all(name.startswith("plane-") for name in told["questions"])
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-1"]


def test_epochs_are_times_through_the_questions(train):
    folder = train("text", steps=None, epochs=2, batch_size=6)
    assert len(read_log(folder / "log.jsonl")) == 6  # 18 questions, twice, six at a time


def test_a_model_trained_on_videos_is_shown_videos_later(train):
    as_images = train("text", "images", steps=2, views_as="image")
    folder = train("text", steps=2, views_as="video")
    assert load_spatialsv(folder).family.views_as == "video"
    assert load_spatialsv(as_images).family.views_as == "image"
    assert not (as_images / "mllm/spatialsv.json").exists()
    assert not same(folder, as_images)


@pytest.mark.parametrize("part", ["mllm.", "heads."])
def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step(train, monkeypatch, part):
    clip = Loop.clip_gradients

    def spoilt(self, passes):
        named = [(n, p) for n, p in self.model.named_parameters() if n.startswith(part)]
        next(p for _, p in named if p.grad is not None).grad.fill_(float("inf"))
        return clip(self, passes)

    monkeypatch.setattr(Loop, "clip_gradients", spoilt)
    expected = {
        "mllm.": "'gradient, MLLM': '(inf|nan)'",
        "heads.": "'gradient, heads': '(inf|nan)'",
    }
    with pytest.raises(FloatingPointError, match=expected[part]):
        train(steps=2)


LORA = {"lora": {"rank": 4, "dropout": 0.1}, "lr_llm": 1e-2, "questions_per_sample": 2}


def test_lora_moves_the_llms_matrices_alone_and_leaves_a_plain_checkpoint(train, tiny_mllm):
    before = load_file(tiny_mllm / "model.safetensors")
    after = load_file(train(steps=2, **LORA) / "mllm/model.safetensors")
    assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    llm = {name for name in moved if "visual" not in name}
    assert llm == {n for n in before if "layers" in n and "proj.weight" in n and "visual" not in n}
    assert all("merger" in name for name in moved - llm)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_with_lora_ends_as_if_it_had_not_been(train, monkeypatch, workers):
    settings = LORA | {"steps": 5, "save_steps": 2, "accumulation": 2}
    whole = train("spatialsv", "whole", **settings)
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(KilledError):
            train("spatialsv", "cut", **settings, workers=workers)
    cut = train("spatialsv", "cut", **settings, workers=workers)
    assert same(whole, cut)
    assert (whole / "log.jsonl").read_bytes() == (cut / "log.jsonl").read_bytes()


def test_lora_on_matrices_that_are_not_there_is_told(train):
    with pytest.raises(ValueError, match=r"train.lora.matrices: the LLM has no 'w1'"):
        train(steps=1, lora={"matrices": ["w1"]})


def test_rates_and_taps_that_are_not_given_are_the_familys(train):
    own = {"lr_llm": None, "lr_vl_projector": None, "lr_heads": None}
    folder = train(steps=1, **own)
    rates = read_manifest(folder / "manifest.json").about["rates"]
    assert rates == {"llm": 2e-7, "projector": 1e-5, "heads": 1e-5}
    assert load_spatialsv(folder).heads.config.taps == (0, 1, 2, 3)  # of 4 layers
    given = train(steps=1, out="given", lr_heads=0.5, heads=SMALL["heads"] | {"taps": [1, 2, 3, 4]})
    assert read_manifest(given / "manifest.json").about["rates"]["heads"] == 0.5
    assert load_spatialsv(given).heads.config.taps == (1, 2, 3, 4)


@pytest.mark.parametrize("cache_gib", [2.0, 0.0])
def test_a_run_that_keeps_the_encoders_outputs_is_the_same_run(train, monkeypatch, cache_gib):
    asked = []
    encode = CachedVisionEncoder.__call__
    monkeypatch.setattr(
        CachedVisionEncoder,
        "__call__",
        lambda self, inputs: asked.append(1) or encode(self, inputs),
    )
    settings = {"steps": 4, "batch_size": 6, "questions_per_sample": 3}
    plain = train("semi", "plain", **settings)
    assert not asked
    kept = train("semi", "kept", cache_vision=True, cache_gib=cache_gib, **settings)
    assert len(asked) == 6  # scenes with questions, of which four without show the images as well
    assert not (kept / ".work").exists()
    for one, other in zip(*(read_log(p / "log.jsonl") for p in (plain, kept)), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("there", [True, False])
def test_bf16_is_used_where_the_device_has_it(train, monkeypatch, there):
    monkeypatch.setattr("spatialsv.train.parameters.has_bf16", lambda device: there)
    folder = train(steps=1, precision="bf16")
    (line,) = read_log(folder / "log.jsonl")
    (plain,) = read_log(train(steps=1, out="plain") / "log.jsonl")
    assert line["loss"] == pytest.approx(plain["loss"], rel=0.05)
    assert (line["loss"] == plain["loss"]) == (not there)
    assert read_manifest(folder / "manifest.json").about["precision"] == (
        "bf16" if there else "fp32"
    )
    assert load_spatialsv(folder).mllm.dtype == torch.float32


@pytest.mark.parametrize("by", ["uncertainty", "gradient_norm"])
def test_adaptive_weights_count_in_the_loss_and_outlive_a_kill(train, monkeypatch, by):
    own = {"weighting": {"by": by, "every": 2}, "heads": SMALL["heads"] | {"taps": [2, 2, 3, 4]}}
    settings = own | {"steps": 6, "save_steps": 2, "accumulation": 2}
    whole = train("spatialsv", "whole", **settings)
    lines = read_log(whole / "log.jsonl")
    assert not any(name.startswith("weight/") for name in lines[0])  # all are 1
    last = lines[-1]
    weights = {name[7:]: value for name, value in last.items() if name.startswith("weight/")}
    assert set(weights) == {"text", "distill", "depth", "rays", "points"}
    assert len(set(weights.values())) == 5 and min(weights.values()) > 0
    losses = {name: value for name, value in last.items() if name.split("/")[0] in weights}
    total = sum(weights[name.split("/")[0]] * value for name, value in losses.items())
    assert last["loss"] == pytest.approx(total, rel=1e-5)
    with monkeypatch.context() as patch:
        kill_at(patch, 5)
        with pytest.raises(KilledError):
            train("spatialsv", "cut", **settings)
    cut = train("spatialsv", "cut", **settings)
    assert same(whole, cut)
    assert (whole / "log.jsonl").read_bytes() == (cut / "log.jsonl").read_bytes()


def test_measuring_gradients_changes_nothing_but_the_weights(train):
    """At a rate of almost nothing, the run is the one without."""
    heads = SMALL["heads"] | {"taps": [2, 2, 3, 4]}
    still = {"weighting": {"by": "gradient_norm", "rate": 1e-30, "every": 1}, "heads": heads}
    plain = train("spatialsv", "plain", steps=2, heads=heads, gradient_checkpointing=True)
    assert same(plain, train("spatialsv", steps=2, gradient_checkpointing=True, **still))


def test_gradient_norms_need_a_layer_below_every_tap(train):
    with pytest.raises(ValueError, match=r"train\.weighting: gradient_norm needs a layer"):
        train(steps=1, weighting={"by": "gradient_norm"})  # the family's taps begin at 0


def test_a_spatial_weight_scales_all_beside_the_text(train):
    arms = {"light": {"distill": True, "tasks": ["depth"], "spatial_weight": 0.25}}
    (line,) = read_log(train("light", steps=1, arms=arms, spatial_weight=0.5) / "log.jsonl")
    spatial = sum(value for name, value in line.items() if name == "distill" or "/" in name)
    assert line["loss"] == pytest.approx(line["text"] + 0.125 * spatial, rel=1e-5)


def test_a_spatial_weight_of_nothing_is_refused(train):
    with pytest.raises(ValueError, match=r"train\.spatial_weight: expected more than 0, found 0"):
        train("text", spatial_weight=0.0)


DEPTH = {"depth_too": {"tasks": ["depth"]}}


def test_tensorboard_holds_every_step_once_after_a_kill(train, monkeypatch, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(KilledError):
            train("depth_too", steps=4, save_steps=2, arms=DEPTH)
    folder = train("depth_too", steps=4, save_steps=2, arms=DEPTH)
    found = events.EventAccumulator(str(tmp_path / "events/depth_too/0")).Reload()
    lines = read_log(folder / "log.jsonl")
    for name in ("text", "depth/l2", "grad_norm"):
        told = [(event.step, event.value) for event in found.Scalars(name)]
        assert told == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines]


def test_tensorboard_that_is_not_installed_is_told_before_training(train, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "events")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'spatialsv\[tensorboard\]'"):
        train("text", steps=1)


GEOMETRY = {"tasks": ["depth", "rays"], "taps": [1, 2, 3, 4]}


def test_an_arm_continues_from_a_trained_model_and_its_heads(train, job, tmp_path):
    first = train("first", "first", steps=3, arms={"first": GEOMETRY})
    config = from_mapping(
        TrainConfig, SMALL | {"steps": 1, "lr_heads": 1e-9, "lr_llm": 1e-9, "arms": ARMS_AFTER}, ""
    )
    out = tmp_path / "second" / "manifest.json"
    manifest = run("same", 0, job.scenes, job.labels, [], config, out, base=first)
    assert manifest.about["base_heads"] == read_manifest(first / "manifest.json").payload["heads"]
    before, after = tensors(first / "heads"), tensors(out.parent / "heads")
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"heads: .*trained with tasks .*depth.*rays.*points"):
        run("more", 0, job.scenes, job.labels, [], config, out, base=first)
    text = run(
        "text", 0, job.scenes, [], [], config, tmp_path / "text" / "manifest.json", base=first
    )
    assert "heads" not in text.payload and "base_heads" not in text.about


ARMS_AFTER = {"same": GEOMETRY, "more": GEOMETRY | {"tasks": ["points"]}}


def test_random_cameras_are_the_same_in_each_run_of_a_seed(train):
    arm = {"tasks": ["depth", "rays"], "distill": True}
    moved = {"arm": arm | {"augment": {"shrink": 1.5, "shuffle_views": True}}}
    one, other = (train("arm", name, arms=moved, steps=2) for name in ("one", "other"))
    assert same(one, other)
    assert not same(one, train("arm", "plain", arms={"arm": arm}, steps=2))
    manifest = read_manifest(one / "manifest.json")
    assert manifest.about["settings"]["augment"]["shrink"] == 1.5


def test_detached_heads_send_the_mllm_no_gradient(train):
    arm = {"text": False, **GEOMETRY}
    settings = {"steps": 4, "weight_decay": 0.0}
    detached = train("arm", "detached", arms={"arm": arm | {"gradient": "heads"}}, **settings)
    attached = train("arm", "attached", arms={"arm": arm}, **settings)
    untrained = train("arm", "none", arms={"arm": arm}, lr_llm=0.0, lr_vl_projector=0.0, **settings)
    assert same(detached / "mllm", untrained / "mllm")
    assert not same(attached / "mllm", untrained / "mllm")
    assert not same(detached / "heads", attached / "heads")
