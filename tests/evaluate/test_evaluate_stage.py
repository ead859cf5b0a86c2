import json
from dataclasses import replace

import pytest

from helpers.manifests import manifest_over
from spatialsv.benchmarks.responses import read_responses
from spatialsv.evaluate import EvaluateConfig, prompter, run
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.scenes.question import write_questions
from spatialsv.scenes.store import write_store

CONFIG = EvaluateConfig(max_new_tokens=3, batch_size=5, resamples=50)


def write_scenes(folder, name, scenes, questions):
    folder.mkdir(parents=True, exist_ok=True)
    digest = write_store(folder / f"{name}.zarr", scenes)
    write_questions(folder / f"{name}.questions.jsonl", questions)
    payload = {
        f"{name}.zarr": digest,
        f"{name}.questions.jsonl": digest_path(folder / f"{name}.questions.jsonl"),
    }
    write_manifest(folder / f"{name}.json", Manifest(stage="scenes", payload=payload))
    return folder / f"{name}.json"


@pytest.fixture(scope="module")
def shards(tmp_path_factory, tiny_scenes, tiny_questions):
    """Two shards of three scenes; the second asks about its views in another order as well."""
    folder, manifests = tmp_path_factory.mktemp("scenes"), []
    for shard in range(2):
        scenes = tiny_scenes.select(slice(3 * shard, 3 * shard + 3))
        questions = [q for q in tiny_questions if q.scene in scenes.ids]
        if shard:
            questions[0] = replace(questions[0], views=(1, 0))
        manifests.append(write_scenes(folder, f"000{shard}", scenes, questions))
    return manifests


@pytest.fixture
def asked(monkeypatch):
    """Counts the prompts that reach the model."""
    count, generate = [], prompter.generate

    def counting(model, tokenizer, prompts, *settings):
        count.extend(prompts)
        return generate(model, tokenizer, prompts, *settings)

    monkeypatch.setattr(prompter, "generate", counting)
    return count


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_mllm, shards):
    out = tmp_path_factory.mktemp("finished") / "manifest.json"
    run(tiny_mllm, shards, CONFIG, out)
    return out


def test_what_is_written(finished, tiny_questions):
    manifest = read_manifest(finished)
    assert manifest.counts == {"questions": 18, "scenes": 6}
    responses = read_responses(manifest.resolve("responses.jsonl"))
    assert [response.id for response in responses] == [question.id for question in tiny_questions]
    metrics = json.loads(manifest.resolve("metrics.json").read_text())
    assert metrics["counting_n"] == 6 and metrics["spatial_n"] == 18
    assert metrics["spatial"] == pytest.approx(sum(response.score for response in responses) / 18)
    assert metrics["among_low"] <= metrics["among"] <= metrics["among_high"]
    assert all(isinstance(value, int | float) for value in metrics.values())


@pytest.mark.parametrize("kept", [0, 1, 200, 2500])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    kept, tmp_path, finished, tiny_mllm, shards, asked
):
    whole = (finished.parent / "responses.jsonl").read_bytes()
    (tmp_path / "responses.jsonl").write_bytes(whole[:kept])
    run(tiny_mllm, shards, CONFIG, tmp_path / "manifest.json")
    assert len(asked) == 18 - whole[:kept].count(b"\n")
    for name in ("responses.jsonl", "scores.json", "metrics.json", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (finished.parent / name).read_bytes()


def test_a_changed_question_is_asked_again_and_only_that(
    tmp_path, finished, tiny_mllm, tiny_scenes, tiny_questions, asked
):
    questions = [replace(tiny_questions[0], text="Else?"), *tiny_questions[1:9]]
    scenes = write_scenes(tmp_path, "0000", tiny_scenes.select(slice(0, 3)), questions)
    out = tmp_path / "evaluate" / "manifest.json"
    out.parent.mkdir()
    out.with_name("responses.jsonl").write_bytes((finished.parent / "responses.jsonl").read_bytes())
    run(tiny_mllm, [scenes], CONFIG, out)
    assert len(asked) == 1
    assert read_manifest(out).counts["questions"] == 9


@pytest.mark.parametrize("change", ["tokens", "blank"])
def test_other_settings_ask_everything_again(change, tmp_path, finished, tiny_mllm, shards, asked):
    (tmp_path / "responses.jsonl").write_bytes((finished.parent / "responses.jsonl").read_bytes())
    changes = {"tokens": {"max_new_tokens": 2}, "blank": {"blank_images": True}}[change]
    run(tiny_mllm, shards, replace(CONFIG, **changes), tmp_path / "manifest.json")
    assert len(asked) == 18


@pytest.mark.parametrize("model", ["manifest.json", "."])
def test_an_arm_trained_blind_is_shown_grey(tmp_path, tiny_mllm, shards, asked, model):
    (tmp_path / "mllm").symlink_to(tiny_mllm)
    about = {"settings": {"blank_images": True}}
    manifest_over(tmp_path / "manifest.json", "train", ["mllm"], about=about)
    manifest = run(tmp_path / model, shards, CONFIG, tmp_path / "out" / "manifest.json")
    assert manifest.about["blank_images"]
    pixels = [prompt.views.inputs["pixel_values"] for prompt in asked]
    assert all(values.unique(dim=0).shape[0] == 1 for values in pixels)


@pytest.mark.parametrize("name", ["random", "frequency"])
def test_baselines_stand_beside_models(name, tmp_path, shards):
    out = tmp_path / "manifest.json"
    run(name, shards, CONFIG, out, train_scenes=shards)
    metrics = json.loads(out.with_name("metrics.json").read_text())
    assert metrics["among"] == 0.5 and metrics["rotation"] == 0.5  # two options, balanced


def test_baselines_need_training_scenes(tmp_path, shards):
    with pytest.raises(ValueError, match="'random': give --train-scenes"):
        run("random", shards, CONFIG, tmp_path / "manifest.json")


def test_a_question_asked_twice_is_refused(tmp_path, tiny_mllm, shards):
    with pytest.raises(ValueError, match="ids occur more than once"):
        run(tiny_mllm, [shards[0], shards[0]], CONFIG, tmp_path / "manifest.json")


def test_conversations_are_counted_and_not_asked(
    tmp_path, tiny_mllm, tiny_scenes, tiny_questions, asked
):
    scene = tiny_scenes.select(slice(0, 1))
    words = replace(
        tiny_questions[0], id="words", task="conversation", answer="A room.", options=()
    )
    scenes = write_scenes(tmp_path, "0000", scene, [words, *tiny_questions[:3]])
    run(tiny_mllm, [scenes], CONFIG, tmp_path / "out/manifest.json")
    manifest = read_manifest(tmp_path / "out/manifest.json")
    assert len(asked) == manifest.counts["questions"] == 3 and manifest.about["unscored"] == 1
    alone = write_scenes(tmp_path, "0001", scene, [replace(words, id="others")])
    with pytest.raises(ValueError, match=r"0001\.json: of 1 questions, none is a choice"):
        run(tiny_mllm, [alone], CONFIG, tmp_path / "none/manifest.json")
    run("frequency", [scenes], CONFIG, tmp_path / "f/manifest.json", train_scenes=[alone, scenes])
