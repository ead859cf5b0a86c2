"""Settings: layers, and faults that are found at once and placed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from dag import to_json
from requirements import find_requirements
from settings import layer_errors, load_settings, merge
from spatialsv.config import from_mapping
from spatialsv.samples.dataset import Pools
from spatialsv.teachers.config import TeacherConfig
from spatialsv.train import ArmConfig, TrainConfig
from spatialsv.train.data import TrainingData
from spatialsv.train.stage import steps_of

ROOT = Path(__file__).parents[2]
EQUAL = ("semi", "semi_epochs")
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["train"],
    "properties": {
        "train": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "steps": {"type": "integer"},
                "seeds": {"type": "array", "items": {"type": "integer"}},
            },
        }
    },
}


def faults(text: str) -> str:
    return "\n".join(layer_errors(yaml.safe_load(text), SCHEMA, "some.yaml", yaml.compose(text)))


def test_merge_lays_mappings_upon_each_other_and_replaces_the_rest():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 2}
    assert merge(base, {"a": {"y": [3], "z": 4}}) == {"a": {"x": 1, "y": [3], "z": 4}, "b": 2}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 2}


def test_null_drops_a_mapping_and_is_a_value_elsewhere():
    assert merge({"arms": {"text": {}, "blind": {}}}, {"arms": {"blind": None}}) == {
        "arms": {"text": {}}
    }
    assert merge({"steps": 3}, {"steps": None}) == {"steps": None}


def test_a_misspelt_key_is_placed_and_corrected():
    text = "train:\n  steps: 3\n  sedes: [0]\n"
    assert faults(text) == "some.yaml:3: unknown setting 'train.sedes'. Did you mean 'seeds'?"


def test_a_misspelt_section_is_placed_and_corrected():
    assert faults("train: {}\ntrian:\n  steps: 3\n") == (
        "some.yaml:2: unknown setting 'trian'. Did you mean 'train'?"
    )


def test_a_wrong_type_is_placed():
    assert faults("train:\n  seeds:\n  - 0\n  - one\n") == (
        "some.yaml:4: train.seeds.1: 'one' is not of type 'integer'"
    )


def test_every_fault_is_told():
    assert len(faults("train:\n  step: 3\n  seeds: 0\n").splitlines()) == 2


def test_a_layer_may_leave_sections_out():
    assert layer_errors({}, SCHEMA, "some.yaml") == []


def test_the_same_settings_make_the_same_text():
    assert to_json({"b": 1, "a": [1.5, None]}) == to_json({"a": [1.5, None], "b": 1})
    assert to_json({"a": 1}) == '{"a":1}'


@pytest.mark.parametrize("overlay", sorted(p.stem for p in (ROOT / "workflow/config").glob("*")))
def test_every_overlay_is_complete_and_lists_every_section(overlay):
    if overlay == "run":
        return
    settings = load_settings(ROOT, {"overlay": overlay})
    listed = yaml.safe_load((ROOT / f"workflow/config/{overlay}.yaml").read_text())
    # DVC reads each section from the overlay's own file and stops where one is missing.
    assert list(listed) == list(settings)


def test_an_unknown_overlay_names_the_known_ones():
    with pytest.raises(ValueError, match=r"overlay 'smoek': no file .*smoek.yaml. Known overlays:"):
        load_settings(ROOT, {"overlay": "smoek"})


def test_the_command_line_wins():
    settings = load_settings(ROOT, {"overlay": "default", "train": {"seeds": [7]}})
    assert settings["train"]["seeds"] == [7]
    assert settings["train"]["base"] == "rooms"


def test_words_of_the_command_line_are_read_as_yaml():
    """Snakemake hands on what stands inside of braces as words."""
    given = {"train": {"steps": "60", "packed": "false", "seeds": ["7"], "lr_llm": "null"}}
    train = load_settings(ROOT, {"overlay": "default", **given})["train"]
    assert (train["steps"], train["packed"], train["seeds"], train["lr_llm"]) == (
        60,
        False,
        [7],
        None,
    )


def test_a_models_recipe_is_laid_upon_what_the_overlay_says():
    model = {"base": "qwen2_5_vl_7b"}
    plain = load_settings(ROOT, {"overlay": "paper", "train": model})["train"]
    own = load_settings(ROOT, {"overlay": "paper", "train": model | {"recipe": "lora_80gb"}})[
        "train"
    ]
    assert "lora" not in plain and own["lora"] == {"rank": 16}
    assert own["gradient_checkpointing"] and own["batch_size"] * own["accumulation"] == 16


def mine(**model) -> dict:
    return load_settings(
        ROOT, {"overlay": "default", "models": {"mine": model}, "train": {"base": "mine"}}
    )


def test_a_local_model_needs_its_path_only(tmp_path):
    settings = mine(path=str(tmp_path))
    assert find_requirements(ROOT, settings, ["text"]) == ({}, [])
    needs, errors = find_requirements(ROOT, mine(path="external/models/mine"), ["text"])
    assert needs == {} and errors == [
        "models.mine.path: no folder external/models/mine. Correct the path, or set hub and"
        " revision for the command that downloads the model."
    ]


def test_a_model_of_the_hub_is_downloaded_at_its_revision():
    revision = "a1" * 20
    model = mine(path="external/models/mine", hub="me/mine", revision=revision)
    (need,) = find_requirements(ROOT, model, ["text"])[0].values()
    assert need["get"] == (
        f"hf download me/mine --revision {revision} --local-dir external/models/mine"
    )
    with pytest.raises(ValueError, match=r"models\.mine: 'revision' is a dependency of 'hub'"):
        mine(path="external/models/mine", hub="me/mine")


def test_all_errors_are_reported_at_once(tmp_path):
    copy = tmp_path / "workflow"
    for part in ("config", "schemas"):
        shutil.copytree(ROOT / "workflow" / part, copy / part)
    overlay = "train: {sedes: [0]}\nmodels: {mine: {path: 3}}\n"
    (copy / "config/mine.yaml").write_text(overlay)
    with pytest.raises(ValueError) as error:
        load_settings(tmp_path, {"overlay": "mine", "lift": {"batch": 3}})
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == [
        "workflow/config/mine.yaml:1",
        "workflow/config/mine.yaml:2",
        "snakemake --config",
    ]
    (copy / "config/mine.yaml").write_text("models: {a: {hub: x}, b: {family: 'a:B'}}\n")
    with pytest.raises(ValueError) as error:
        load_settings(tmp_path, {"overlay": "mine"})
    assert len(str(error.value).splitlines()) == 3  # two paths and a revision


@pytest.mark.parametrize(
    ("source", "where"), [("question", r"source"), ({"test": "question"}, r"source\.test")]
)
def test_a_value_that_is_nearly_a_known_one_names_it(source, where):
    with pytest.raises(ValueError, match=rf"scenes\.{where}: .*Did you mean 'questions'\?"):
        load_settings(ROOT, {"overlay": "default", "scenes": {"source": source}})


def test_an_empty_section_is_the_default():
    plain = load_settings(ROOT, {"overlay": "default"})
    assert load_settings(ROOT, {"overlay": "default", "train": None, "lift": None}) == plain


@pytest.mark.parametrize("base", ["qwen2_5_vl_7b", "internvl3_1b", "rooms"])
def test_an_unknown_recipe_names_the_models_own(base):
    chosen = {"base": base, "recipe": "full_8gb"}
    known = "lora_80gb, full_8x80gb" if base == "qwen2_5_vl_7b" else "none"
    with pytest.raises(
        ValueError, match=f"{base} has no recipe 'full_8gb'. Known recipes: {known}"
    ):
        load_settings(ROOT, {"overlay": "paper", "train": chosen})


def test_taps_that_the_model_has_not_are_told_before_anything_is_labelled():
    settings = load_settings(ROOT, {"overlay": "default"})
    assert find_requirements(ROOT, settings, list(settings["arms"]))[1] == []
    deep = {"arms": {"taps_last": {"taps": [9] * 4}}, "train": {"heads": {"taps": [0, 1, 2, 12]}}}
    told = find_requirements(
        ROOT, load_settings(ROOT, {"overlay": "default", **deep}), ["taps_last"]
    )[1]
    assert told[0].startswith("arms.taps_last.taps: [9, 9, 9, 9], but rooms has hidden states 0 to")
    assert told[1].startswith("train.heads.taps: [0, 1, 2, 12], but rooms has hidden states 0 to 8")


@pytest.mark.parametrize("overlay", ["default", "paper"])
def test_the_arms_of_table_5_are_compared_at_equal_steps_and_at_equal_epochs(overlay):
    settings = load_settings(ROOT, {"overlay": overlay})
    jobs = set(settings["train"]) - {"base", "seeds", "recipe"}
    config = from_mapping(TrainConfig, {name: settings["train"][name] for name in jobs}, "train")

    def steps(arm: str) -> int:
        told = from_mapping(ArmConfig, settings["arms"][arm], arm)
        text = round(10_000 * told.text_share)
        spatial = 10_000 - text if told.pseudo else 0
        seen = {"pools": Pools(None), "text": text, "spatial": spatial}
        return steps_of(told, config, TrainingData(feature_channels=None, digests={}, **seen))

    equal, epochs = (settings["ablations"]["tables"][name]["arms"] for name in EQUAL)
    assert len({steps(arm) for arm in equal}) == 1
    assert [steps(arm) / steps("text") for arm in epochs] == pytest.approx(
        [0.5, 0.5, 1, 1], abs=0.01
    )


def test_every_recipe_keeps_the_papers_batch():
    for name, model in load_settings(ROOT, {"overlay": "paper"})["models"].items():
        for recipe in model.get("recipes", {}):
            chosen = {"base": name, "recipe": recipe}
            train = load_settings(ROOT, {"overlay": "paper", "train": chosen})["train"]
            assert train["batch_size"] * train["accumulation"] * train.get("processes", 1) == 16


def asked(**labels) -> tuple[dict, list[str]]:
    settings = load_settings(ROOT, {"overlay": "default", "labels": labels})
    return find_requirements(ROOT, settings, ["text", "geometry_exact"])


def test_a_teacher_from_outside_needs_its_weights_and_its_environment():
    needs, lacks = asked(teacher="vggt")
    assert lacks == []
    assert needs["teacher vggt, its weights"] == {
        "path": "external/models/vggt",
        "get": "hf download facebook/VGGT-1B --local-dir external/models/vggt",
    }
    environment = needs["teacher vggt, its environment"]
    assert environment["path"] == "external/vggt/bin/python"
    assert "workflow/envs/vggt.yaml" in environment["get"]
    assert (ROOT / "workflow/envs/vggt.yaml").is_file()
    assert list(asked(teacher="depth_pro")[0]) == ["teacher depth_pro, its weights"]
    assert asked(teacher="rooms") == asked(teacher="own") == ({}, [])


def test_an_unknown_teacher_names_the_known_ones():
    assert asked(teacher="da4")[1] == [
        "labels.teacher: unknown teacher 'da4'. Known teachers: rooms, exact, own, da3, da3_large,"
        " vggt, depth_anything, depth_pro."
    ]


def test_commercial_use_refuses_a_teacher_by_its_licence_before_anything_runs():
    assert asked(teacher="da3", commercial=True)[1] == []
    (lack,) = asked(teacher="da3_large", commercial=True)[1]
    assert lack.startswith(
        "labels.teacher: teacher depth-anything/DA3-LARGE-1.1: licence CC-BY-NC-4.0 is not known"
    )


def test_every_teacher_of_the_settings_says_its_licence():
    for name, teacher in load_settings(ROOT, {"overlay": "default"})["teachers"].items():
        assert from_mapping(TeacherConfig, teacher, name).terms


def test_a_renamed_key_is_an_error_that_names_the_new_one_and_its_line():
    text = "train: {}\narms:\n  text: {}\n  blind: {blank_images: true}\n"
    (error,) = layer_errors(
        yaml.safe_load(text), {"type": "object"}, "some.yaml", yaml.compose(text)
    )
    assert error == "some.yaml:4: arms.blind was renamed to arms.no_image."
