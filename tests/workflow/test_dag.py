"""Which jobs there are, and which an edit redoes: dry runs over adopted, empty manifests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from helpers.workflow_copy import ROOT, Copy

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture
def smoke(made: Copy, tmp_path: Path) -> Copy:
    """A copy of `made` of one's own, to edit."""
    shutil.copytree(made.root, tmp_path / "copy")
    return Copy(tmp_path / "copy")


def test_the_default_is_one_of_each_gather_and_a_job_for_each_shard_and_arm(copy):
    jobs = copy.planned()
    assert jobs.keys() >= {"scenes_shard", "labels_shard", "pseudo_shard"}
    assert (jobs["gather"], jobs["report"], jobs["train_arm"], jobs["lift_model"]) == (7, 1, 4, 1)
    assert sum(jobs.values()) < 200


def test_a_stage_is_a_target(copy):
    assert copy.planned("labels") == {
        "scenes_shard": 10,  # of training, and of the test scenes whose labels are shown
        "labels_shard": 10,
        "gather": 1,
        "labels": 1,
    }


def test_the_ablations_train_their_arms_by_the_same_rule(copy):
    jobs = copy.planned("ablations")
    assert jobs["ablations"] == 1 and "report" not in jobs and "gather" not in jobs
    assert jobs["train_arm"] == 22 and jobs["evaluate_model"] == 23  # and the untuned base
    assert jobs["labels_shard"] == 16  # by the rooms teacher and the exact one
    copy.edit("workflow/config/run.yaml", "also: []", "also: [ablations]")
    also = copy.planned()
    assert also["ablations"] == 1 and also["train_arm"] == 23 and also["gather"] == 7


def test_what_run_yaml_cannot_name_is_refused(copy):
    found = copy.snakemake("-n", "--config", "also=[ablation]")
    assert found.returncode == 1
    assert "run.yaml can name [ablations]" in found.stdout


def test_an_arm_to_measure_that_is_not_defined_is_told(copy):
    copy.edit("workflow/config/default.yaml", "lift: [spatialsv]", "lift: [spatial]")
    found = copy.snakemake("-n")
    assert found.returncode == 1
    assert "unknown arm 'spatial'. Known arms: text," in found.stdout


def test_a_base_of_ones_own_is_made_first(copy):
    copy.edit("workflow/config/default.yaml", "base: rooms", "base: own")
    copy.edit("workflow/config/default.yaml", "teacher: rooms", "teacher: own")
    jobs = copy.planned()
    assert jobs["base_part"] == 2
    commands = copy.snakemake("-n", "--printshellcmds").stdout
    assert "--base data/base/mllm/checkpoint" in commands
    assert "--model data/base/mllm/checkpoint" in commands  # the arm `base`
    assert commands.count("--teacher data/base/teacher/checkpoint") == jobs["labels_shard"] + 1
    assert "weights/mllm" not in commands and "--out data/train/own/text/0" in commands


def test_several_processes_are_started_by_torchrun(copy):
    copy.edit("workflow/config/default.yaml", "  steps: 220", "  steps: 220\n  processes: 2")
    commands = copy.snakemake("-n", "--printshellcmds").stdout.splitlines()
    trained = [line for line in commands if " train --arm " in line]
    start = "torchrun --standalone --nproc-per-node 2 -m spatialsv.cli train --arm "
    assert len(trained) == 4 and all(start in line for line in trained)


PAPER = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text())


@pytest.mark.parametrize("model", PAPER["models"])
def test_the_papers_run_can_be_planned_for_each_of_its_models(copy, model):
    chosen = ("--config", "overlay=paper", f"train={{base: {model}}}")
    found = copy.snakemake("-n", "--quiet", "reason", "host", "--printshellcmds", *chosen)
    assert found.returncode == 0, found.stdout
    (text,) = [line for line in found.stdout.splitlines() if "--arm text --seed 0" in line]
    assert f"--base external/models/{model} " in text
    assert '"taps":null' in text and '"lr_llm":null' in text  # Table 6's, which its family knows


def test_the_papers_run_tells_at_once_all_that_it_lacks(copy):
    found = copy.snakemake("--config", "overlay=paper")
    assert found.returncode == 1
    for told in (
        "hf download Qwen/Qwen2.5-VL-3B-Instruct --revision 66285546d2b821cf",
        "MindCube: no external/MindCube/",
        "benchmark vsi_bench_mc: no external/VSI-Bench\n    hf download nyu-visionx/VSI-Bench",
        "benchmark topviewrs: no external/TopViewRS\n    VLMEvalKit's",
        "teacher da3, its weights: no external/models/da3_base",
        "hf download depth-anything/DA3-BASE --local-dir external/models/da3_base",
        "teacher da3, its environment: no external/da3/bin/python",
        "conda env create -p external/da3 -f workflow/envs/da3.yaml",
    ):
        assert told in found.stdout
    benchmarks = PAPER["evaluate"]["benchmarks"]
    assert len(benchmarks) == 10
    assert all(f"benchmark {name}: no external/" in found.stdout for name in benchmarks)
    assert "Traceback" not in found.stdout and not (copy.root / "data").exists()


def test_the_papers_tables_start_no_job_but_their_own(copy):
    chosen = ("--config", "overlay=paper", "--", "paper")
    found = copy.snakemake("-n", "--quiet", "reason", "host", *chosen)
    assert found.returncode == 0, found.stdout
    assert set(re.findall(r"^(\w+) +\d+$", found.stdout, re.MULTILINE)) == {"paper", "total"}
    found = copy.snakemake("-n", "--config", "overlay=paper", "--", "paper", "evaluate")
    assert found.returncode == 0 and "evaluate_benchmark" in found.stdout


ASKED = """
  benchmarks:
    cv_bench: {data: external/CV-Bench, max_new_tokens: 4}
    mindcube_tiny: {data: external/MindCube}
"""


@pytest.fixture
def asked(smoke: Copy) -> Copy:
    """`smoke` with two benchmarks, whose folders are there."""
    for name in ("CV-Bench", "MindCube"):
        (smoke.root / "external" / name).mkdir(parents=True)
        (smoke.root / "external" / name / "rows.jsonl").write_text("{}\n")
    smoke.edit("workflow/config/smoke.yaml", "evaluate:\n", f"evaluate:{ASKED}")
    return smoke


def test_every_model_is_asked_every_benchmark_and_nothing_else_is_redone(asked):
    # Of base, text, spatialsv and no_image.
    assert asked.planned() == {"evaluate_benchmark": 8, "gather": 1}
    commands = asked.snakemake("-n", "--printshellcmds").stdout.splitlines()
    (text,) = [line for line in commands if "cv_bench --data" in line and "rooms/text/" in line]
    assert "--model data/train/rooms/text/0/manifest.json " in text
    assert "--train-scenes data/scenes/train/0000.json data/scenes/train/0001.json" in text
    assert "--config '{\"max_new_tokens\":4}' --made-from " in text
    assert " --out data/evaluate/rooms/text/0/cv_bench " in text
    (base,) = [line for line in commands if "cv_bench --data" in line and "rooms/base/" in line]
    assert "--model src/spatialsv/weights/mllm  --train-scenes  --config" in base
    (gather,) = [line for line in commands if "--of evaluate" in line]
    assert "data/evaluate/rooms/no_image/0/mindcube_tiny/manifest.json" in gather


@pytest.mark.parametrize(
    ("path", "old", "new", "jobs"),
    [
        ("external/CV-Bench/rows.jsonl", "{}", "{ }", 4),
        ("workflow/config/smoke.yaml", "max_new_tokens: 4", "max_new_tokens: 5", 4),
        ("src/spatialsv/benchmarks/parsing.py", "from __future__", "# x\nfrom __future__", 8),
    ],
)
def test_a_benchmark_is_asked_again_where_it_changed(asked, path, old, new, jobs):
    asked.adopt()
    assert asked.planned() == {}
    asked.edit(path, old, new)
    planned = {"evaluate_benchmark": jobs, "gather": 1}
    if jobs == 8:  # the rooms are a benchmark, too
        planned |= {"evaluate_model": 6, "analysis": 1, "report": 1}
    assert asked.planned() == planned


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cv_bench:", "cvbench:", "evaluate.benchmarks: 'cvbench' is not one of ['"),
        ("max_new_tokens: 4", "tokens: 4", "unknown setting 'evaluate.benchmarks.cv_bench.tokens'"),
        (
            "max_new_tokens: 4",
            "protocol: mine",
            "cv_bench: unknown protocol 'mine'. Known protocols: official, lmms_eval",
        ),
        ("external/CV-Bench,", "external/CV,", "benchmark cv_bench: no external/CV\n    put there"),
    ],
)
def test_a_benchmark_that_cannot_be_asked_is_told_at_once(asked, old, new, told):
    asked.edit("workflow/config/smoke.yaml", old, new)
    found = asked.snakemake()
    assert found.returncode == 1 and told in found.stdout and "Traceback" not in found.stdout


def test_records_from_outside_are_shards_of_which_the_last_may_be_short(copy):
    for old, new in (("train: 10000", "train: 120"), ("test: 1050", "test: 50")):
        copy.edit("workflow/config/paper.yaml", old, new)
    chosen = ("--config", "overlay=paper")
    found = copy.snakemake("-n", "--quiet", "reason", "host", "--printshellcmds", *chosen)
    assert found.returncode == 0, found.stdout
    jobs = [line for line in found.stdout.splitlines() if "spatialsv scenes" in line]
    assert len(jobs) == 4 and all("--source mindcube" in job for job in jobs)
    (last,) = [job for job in jobs if "--split train --shard 0002" in job]
    assert '"shard_size":50,"stop":120' in last
    assert "MindCube_train.jsonl" in last and "MindCube_tinybench.jsonl" not in last
    (lift,) = {
        line.partition("--labels ")[2].partition(" --config")[0]
        for line in found.stdout.splitlines()
        if "spatialsv lift" in line
    }
    assert lift == "data/labels/da3/test/0000.json"  # in place of geometry that nobody knows


MINE = """\
models:
  mine: {path: mine, hub: me/mine, revision: "%s", family: "my_package.my_module:Mine"}
""" % ("0" * 40)


def test_an_adapter_from_outside_is_named_in_every_command_that_loads_the_mllm(copy):
    package = copy.root / "src/my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "my_module.py").write_text("raise SystemExit('this ran')\n")  # only jobs run it
    copy.edit("workflow/config/default.yaml", "base: rooms", "base: mine")
    copy.edit("workflow/config/default.yaml", "models: {}", MINE)
    found = copy.snakemake("-n", "--quiet", "reason", "host", "--printshellcmds").stdout
    lines = [line.split() for line in found.splitlines() if "spatialsv " in line]
    for stage in ("train", "lift", "probe", "evaluate"):
        named = [line for line in lines if line[line.index("spatialsv") + 1] == stage]
        assert named
        for line in named:
            assert line[line.index("--family") + 1] == "my_package.my_module:Mine"
    told = copy.snakemake().stdout
    assert "the MLLM me/mine: no mine" in told and "my_module" not in told


def test_an_adapter_that_is_not_there_is_told_at_once(copy):
    copy.edit("workflow/config/default.yaml", "base: rooms", "base: mine")
    copy.edit("workflow/config/default.yaml", "models: {}", MINE)
    found = copy.snakemake()
    assert found.returncode == 1
    assert "models.mine.family: no module of my_package.my_module:Mine on Python" in found.stdout


def test_the_teacher_of_a_single_arm_is_looked_for_before_its_job_comes(copy):
    chosen = ("--config", "arms={geometry_exact: {teacher: nobody}}", "--", "ablations")
    found = copy.snakemake(*chosen)
    assert found.returncode == 1
    assert "arms.geometry_exact.teacher: unknown teacher 'nobody'" in found.stdout


def test_a_model_that_is_not_defined_is_told(copy):
    found = copy.snakemake("-n", "--config", "train={base: qwen9}")
    assert found.returncode == 1
    assert "train.base: unknown model 'qwen9'. Known models: rooms, own" in found.stdout


def test_an_overlay_can_be_chosen_on_the_command_line(copy):
    found = copy.snakemake("-n", "--quiet", "all", "--config", "overlay=smok")
    assert found.returncode == 1
    assert "overlay 'smok': no file " in found.stdout and "smoke" in found.stdout


def test_a_misspelt_key_stops_the_run_with_its_line(copy):
    copy.edit("workflow/config/default.yaml", "  seeds:", "  sedes:")
    path = copy.root / "workflow/config/default.yaml"
    line = 1 + [text.startswith("  sedes") for text in path.read_text().splitlines()].index(True)
    found = copy.snakemake("-n")
    assert found.returncode == 1
    told = f"default.yaml:{line}: unknown setting 'train.sedes'. Did you mean 'seeds'?"
    assert told in found.stdout and "Traceback" not in found.stdout


def test_what_is_made_is_not_made_again(smoke):
    assert smoke.planned() == {}


def test_an_edit_of_one_stages_code_redoes_it_and_what_reads_it(smoke):
    smoke.edit("src/spatialsv/evaluate/config.py", "from __future__", "# edited\nfrom __future__")
    assert smoke.planned() == {"evaluate_model": 6, "gather": 1, "analysis": 1, "report": 1}


def test_an_edit_of_the_renderer_redoes_scenes_first(smoke):
    smoke.edit("src/spatialsv/rooms/render.py", "from __future__", "# x\nfrom __future__")
    jobs = smoke.planned()
    assert (
        jobs["scenes_shard"] == 7 and jobs["analysis"] == jobs["report"] == 1
    )  # four of train, one of the others


def test_an_edit_of_a_loss_leaves_labels_alone(smoke):
    smoke.edit("src/spatialsv/losses/weighting.py", "from __future__", "# edited\nfrom __future__")
    jobs = smoke.planned()
    assert jobs["train_arm"] == 3 and jobs["evaluate_model"] == 3
    assert not jobs.keys() & {"scenes_shard", "labels_shard", "pseudo_shard"}


def test_a_parameter_of_one_stage_redoes_it_and_what_reads_it(smoke):
    smoke.edit("workflow/config/smoke.yaml", "fit: {steps: 4}", "fit: {steps: 5}")
    assert smoke.planned() == {"probe_model": 1, "gather": 1, "analysis": 1, "report": 1}


def test_a_new_arm_trains_nothing_else(smoke):
    smoke.edit("workflow/config/default.yaml", "  half: {", "  mine: {tasks: [rays]}\n  half: {")
    assert smoke.planned() == {}  # until it is measured
    smoke.edit("workflow/config/smoke.yaml", "[base, text,", "[base, mine, text,")
    assert smoke.planned() == {
        "train_arm": 1,
        "evaluate_model": 1,
        "gather": 2,
        "analysis": 1,
        "report": 1,
    }


def test_the_arms_of_half_the_text_learn_from_the_other_half_without_it(smoke):
    smoke.edit("workflow/config/smoke.yaml", "[base, text,", "[base, half, half_semi, text,")
    jobs = smoke.planned()
    assert jobs["train_arm"] == 2 and "labels_shard" not in jobs
    assert jobs["pseudo_shard"] == 2  # of four shards of train, those without text
    commands = smoke.snakemake("-n", "--printshellcmds", "--", "train").stdout
    (half,) = [line for line in commands.splitlines() if "--arm half " in line]
    (semi,) = [line for line in commands.splitlines() if "--arm half_semi" in line]
    first, second = ([f"train/{shard:04d}.json" for shard in pair] for pair in ((0, 1), (2, 3)))
    assert all(f"data/scenes/{name}" in half for name in first)
    assert not any(f"data/scenes/{name}" in half for name in second)
    assert all(f"data/scenes/{name}" in semi for name in (*first, *second))
    assert all(f"data/labels/rooms/{name}" in semi for name in first)
    assert all(f"data/pseudo/{name}" in semi for name in second)
    assert not any(f"data/labels/rooms/{name}" in semi for name in second)


def test_an_arm_that_takes_all_geometry_from_pseudo_labels_waits_for_no_others(smoke):
    smoke.edit("workflow/config/smoke.yaml", "[base, text,", "[base, labels_5, ungated, text,")
    commands = smoke.snakemake("-n", "--printshellcmds", "--", "train").stdout.splitlines()
    (ungated,) = [line for line in commands if "--arm ungated " in line]
    assert "data/pseudo/unlabelled/0000.json" in ungated and "data/labels" not in ungated
    (share,) = [line for line in commands if "--arm labels_5 " in line]
    assert share.count("data/labels/rooms/train/") == 4 and "data/pseudo" not in share


def test_a_setting_of_one_arm_redoes_that_arm(smoke):
    smoke.edit(
        "workflow/config/default.yaml",
        "blank_images: true}",
        "blank_images: true, equal: epochs}",
    )
    jobs = smoke.planned()
    assert (jobs["train_arm"], jobs["evaluate_model"]) == (1, 1)
    assert not jobs.keys() & {"lift_model", "probe_model"}


def test_settings_can_be_chosen_on_validation_scenes(smoke):
    chosen = ("--config", "measure={split: validation}")
    told = smoke.snakemake("-n", "--printshellcmds", *chosen).stdout
    stages = ("spatialsv evaluate ", "spatialsv lift ", "spatialsv probe ")
    measuring = [line for line in told.splitlines() if any(stage in line for stage in stages)]
    assert len(measuring) == 8, told
    for line in measuring:
        assert "data/scenes/validation/0000.json" in line and "data/scenes/test/" not in line
    assert "spatialsv train" not in told


def test_a_second_seed_leaves_the_first_alone(smoke):
    smoke.edit("workflow/config/default.yaml", "seeds: [0]", "seeds: [0, 1]")
    jobs = smoke.planned()
    assert jobs["train_arm"] == 3 and jobs["evaluate_model"] == 3 and "labels_shard" not in jobs


def test_questions_across_views_are_selected_before_their_shards(smoke):
    smoke.edit(
        "workflow/config/smoke.yaml",
        "  shard_size: 8\n",
        "  shard_size: 8\n  rooms: {views: 2, motions: [free], objects: [7, 7]}\n"
        "  tasks: {train: [single_side], test: [relation]}\n",
    )
    told = smoke.snakemake("-n", "--printshellcmds", "--", "scenes").stdout
    (select,) = [line for line in told.splitlines() if "spatialsv select" in line]
    assert '"splits":{"train":32}' in select and '"relation"' not in select
    shards = [line for line in told.splitlines() if "spatialsv scenes" in line]
    selected = [line for line in shards if "--selection=data/scenes/selection.json" in line]
    assert len(shards) == 7 and len(selected) == 4
    assert all("--split train" in line for line in selected)
    assert smoke.planned()["scenes_select"] == 1


def test_an_arm_may_start_from_another_one_with_settings_of_its_own(smoke):
    smoke.edit(
        "workflow/config/default.yaml",
        "  half: {",
        "  before: {tasks: [rays]}\n  after: {start: before, train: {steps: 1}}\n  half: {",
    )
    smoke.edit("workflow/config/smoke.yaml", "[base, text,", "[base, after, text,")
    jobs = smoke.planned()
    assert jobs["train_arm"] == 2 and jobs["evaluate_model"] == 1  # `before` is not measured
    told = smoke.snakemake("-n", "--printshellcmds", "--", "train").stdout.splitlines()
    (after,) = [line for line in told if "--arm after " in line]
    assert "--base data/train/rooms/before/0/manifest.json" in after and '"steps":1' in after
    assert '"start"' not in after and '"arms":{"after":{}}' in after
    (before,) = [line for line in told if "--arm before " in line]
    assert "--base src/spatialsv/weights/mllm" in before and '"steps":2' in before


@pytest.mark.parametrize(
    ("start", "message"),
    [("missing", r"arms.mine.start: unknown arm 'missing'"), ("mine", r"a circle: mine -> mine")],
)
def test_an_arm_cannot_start_from_nothing_or_itself(smoke, start, message):
    smoke.edit(
        "workflow/config/default.yaml", "  half: {", f"  mine: {{start: {start}}}\n  half: {{"
    )
    found = smoke.snakemake("-n")
    assert found.returncode == 1 and re.search(message, found.stdout)


def test_an_arms_own_settings_cannot_name_another_base(smoke):
    smoke.edit(
        "workflow/config/default.yaml", "  half: {", "  mine: {train: {base: own}}\n  half: {"
    )
    assert "unknown setting 'arms.mine.train.base'" in smoke.snakemake("-n").stdout
