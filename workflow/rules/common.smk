"""What the rules share: the settings, the digest of the code, lists of shards, arms and seeds."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow"))

from guard import check_provenance, claim
from settings import code_digest, load_settings, merge, minified

try:
    if workflow.is_main_process:  # not in the jobs that a cluster executor starts
        RUN_LOCK = claim(ROOT, sys.argv[1:])
        check_provenance(ROOT, sys.argv[1:])
    settings = load_settings(ROOT, config)
except (RuntimeError, ValueError) as error:
    raise WorkflowError(str(error))

STAGES = ["scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate", "report"]
BASE = settings["train"]["base"]
# The untuned model: no job trains it, the other stages read the shipped weights.
UNTUNED = "base"
SHIPPED = "src/spatialsv/weights/mllm"
# Settings that say which jobs there are: a job does not get them, so that a new arm, seed or split
# leaves the finished jobs alone.
DAG_SETTINGS = {"splits", "arms", "seeds", "base", "teacher", "pseudo"}


wildcard_constraints:
    split="[a-z]+",
    shard=r"\d{4}",
    teacher="[a-z0-9_]+",
    arm="[a-z0-9_]+",
    seed=r"\d+",


def code_version(*packages):
    """The digest of a stage's code: Snakemake alone does not notice edits in imported code."""
    return code_digest(ROOT, {"config", "manifest", *packages})


def section(name, **more):
    """The settings of stage `name` for one job, as JSON; `more` is laid upon them."""
    own = merge(settings[name], more)
    return minified({key: value for key, value in own.items() if key not in DAG_SETTINGS})


def shards(split):
    """The numbers of the shards of `split`; the last one may be smaller."""
    scenes = settings["scenes"]
    return [f"{i:04d}" for i in range(-(-scenes["splits"][split] // scenes["shard"]))]


def scenes_of(*splits):
    return [f"data/scenes/{split}/{shard}.json" for split in splits for shard in shards(split)]


def labels_of(*splits, teacher=settings["labels"]["teacher"]):
    return [
        f"data/labels/{teacher}/{split}/{shard}.json" for split in splits for shard in shards(split)
    ]


def pseudo_of(*splits):
    return [f"data/pseudo/{split}/{shard}.json" for split in splits for shard in shards(split)]


def arm_section(wildcards):
    """The settings of one training job: the common ones with the arm's own laid upon them."""
    return section("train", **settings["train"]["arms"][wildcards.arm])


def arm_pseudo(wildcards):
    """The pseudo-labelled shards of an arm that learns from them."""
    return pseudo_of("unlabelled") if settings["train"]["arms"][wildcards.arm].get("pseudo") else []


def models_of(stage, arms):
    """One manifest of `stage` for each of `arms` and each seed; the untuned model has one seed."""
    seeds = settings["train"]["seeds"]
    return [
        f"data/{stage}/{BASE}/{arm}/{seed}/manifest.json"
        for arm in arms
        for seed in (seeds[:1] if arm == UNTUNED else seeds)
    ]


def model_of(wildcards):
    """The training manifest that a measuring job waits for; the untuned model needs none."""
    return [] if wildcards.arm == UNTUNED else model_path(wildcards)


def model_path(wildcards):
    """What a measuring job loads: the arm's manifest, or the shipped checkpoint."""
    if wildcards.arm == UNTUNED:
        return SHIPPED
    return f"data/train/{BASE}/{wildcards.arm}/{wildcards.seed}/manifest.json"


def model_code(*packages):
    """As `code_version`; the untuned model's job depends on the shipped weights as well."""

    def digest(wildcards):
        return code_version(*packages, *(["weights/mllm"] if wildcards.arm == UNTUNED else []))

    return digest
