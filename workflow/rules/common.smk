"""What the rules share: the settings, the digest of the code, lists of shards, arms and seeds."""

import shutil
import sys
from functools import cache
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow"))

from guard import check_needs, check_overlay, check_provenance, claim, drop_torn
from settings import adapter_files, code_digest, load_settings, minified, mllm_place, outside
from settings import place_digest
from settings import source_of as source_in

STAGES = ["scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate"]
STAGES += ["analysis", "report"]
# The target `paper` starts no job but its own.
TABLES_ALONE = "paper" in sys.argv and not {"all", "ablations", *STAGES} & set(sys.argv)
ALSO = config["also"]
if not set(ALSO) <= {"ablations"}:
    sys.exit(f"snakemake: also {ALSO}: run.yaml can name [ablations], or nothing: []")

try:
    if workflow.is_main_process:  # not in the jobs that a cluster executor starts
        RUN_LOCK = claim(ROOT, sys.argv[1:])
        check_provenance(ROOT, [*STAGES, "ablations"], sys.argv[1:])
        for told in drop_torn(ROOT, STAGES, sys.argv[1:]):
            print(f"snakemake: {told}", file=sys.stderr)
    settings = load_settings(ROOT, config)
    if workflow.is_main_process and not TABLES_ALONE:
        check_overlay(ROOT, config["overlay"], [*STAGES, "ablations"], sys.argv[1:])
except (RuntimeError, ValueError) as error:
    sys.exit(f"snakemake: {error}")

# What is fine-tuned and who labels: shipped, "own" (made by the rules of base.smk), or from outside.
BASE = settings["train"]["base"]
TEACHER = settings["labels"]["teacher"]
COMMERCIAL = " --commercial" if settings["labels"].get("commercial") else ""
MLLM = mllm_place(settings)
# Its adapter, if that is from outside this package; the file, since the digests of code lack it.
ADAPTER = settings["models"].get(BASE, {}).get("family")
ADAPTER_FILES = adapter_files(ADAPTER)
FAMILY = f" --family {ADAPTER}" if ADAPTER else ""
MLLM_MADE = ["data/base/mllm/manifest.json"] if BASE == "own" else []
# Arms that no job trains: the shipped model as it is, and replies that look at no image.
BASELINES = ["random", "frequency"]
UNTRAINED = ["base", *BASELINES]
# A job that runs a model takes the GPU; without one, a core, and as many run as there are cores.
GPU = 1 if shutil.which("nvidia-smi") else 0
THREADS = 2 if GPU else 1
# Processes of a training job, one a GPU where there are any; torchrun starts several.
PROCESSES = settings["train"].get("processes", 1)
TORCHRUN = f"torchrun --standalone --nproc-per-node {PROCESSES} -m spatialsv.cli"
# Settings that say which jobs there are: a job does not get them, so that a new arm, seed or split
# leaves the finished jobs alone.
DAG_SETTINGS = {"splits", "seeds", "base", "recipe", "teacher", "source", "read"}
DAG_SETTINGS |= {"commercial", "benchmarks"}

ARMS, SPLIT = settings["arms"], settings["measure"]["split"]
MEASURED = {stage: settings["measure"][stage] for stage in ("lift", "probe", "evaluate")}
# What else the evaluated models are asked: name -> its settings, with where its files are.
BENCHMARKS = settings["evaluate"].get("benchmarks", {})
TABLES = settings["ablations"]["tables"].values()
ABLATED = list(dict.fromkeys(arm for table in TABLES for arm in table["arms"]))
for arm in [*sum(MEASURED.values(), []), *ABLATED]:
    if arm not in ARMS and arm not in UNTRAINED:
        known = ", ".join([*ARMS, *UNTRAINED])
        sys.exit(f"snakemake: no arm {arm!r} in arms to measure; known: {known}")
TRAINED = [arm for arm in ARMS if any(arm in arms for arms in MEASURED.values())]
MADE = [*TRAINED, *(ABLATED if "ablations" in [*ALSO, *sys.argv] else [])]
try:
    if workflow.is_main_process and not TABLES_ALONE:
        check_needs(ROOT, *outside(ROOT, settings, MADE), sys.argv[1:])
except RuntimeError as error:
    sys.exit(f"snakemake: {error}")


wildcard_constraints:
    split="[a-z]+",
    shard=r"\d{4}",
    teacher="[a-z0-9_]+",
    arm="[a-z0-9_]+",
    seed=r"\d+",
    asked="[a-z0-9_]+",


def code_version(*packages):
    """The digest of a stage's code: Snakemake alone does not notice edits in imported code."""
    return code_digest(ROOT, {"config", "io", *packages})


def teacher_made(teacher):
    return ["data/base/teacher/manifest.json"] if teacher == "own" else []


def teacher_path(teacher):
    """What a labelling job loads: a network's folder, a name, or settings of one from outside."""
    if teacher in settings["teachers"]:
        return minified(settings["teachers"][teacher])
    return "data/base/teacher/checkpoint" if teacher == "own" else teacher


def source_of(split):
    """Where the scenes of `split` come from."""
    return source_in(settings, split)


def teacher_gpu(teacher):
    """The shipped network is as fast without."""
    return GPU if teacher in settings["teachers"] else 0


def section(name, **more):
    """The settings of stage `name` for one job, as JSON; `more` replaces some."""
    own = {key: value for key, value in settings[name].items() if key not in DAG_SETTINGS}
    return minified(own | more)


def base_section(wildcards):
    """The settings of one part of the base."""
    other = {"mllm": "teacher", "teacher": "mllm"}[wildcards.part]
    return minified({key: value for key, value in settings["base"].items() if key != other})


def split_section(wildcards):
    """The settings of one shard of scenes: the common ones and its split's own."""
    split, scenes = wildcards.split, settings["scenes"]
    if source_of(split) == "rooms":
        tasks = scenes.get("tasks", {})
        return section("scenes", tasks={split: tasks[split]} if split in tasks else {})
    read, size = scenes.get("read", {}), scenes["shard_size"]
    own = {"files": {name: path for name, path in read.get("files", {}).items() if name == split}}
    own |= {
        "shard_size": size,
        "stop": min(scenes["splits"][split], (int(wildcards.shard) + 1) * size),
    }
    told = {key: scenes[key] for key in ("without_text",) if key in scenes}
    return minified(read | told | own)


@cache
def records_digest(split):
    """A digest of a split's records or captures, where they come from outside."""
    path = settings["scenes"].get("read", {}).get("files", {}).get(split)
    return place_digest(ROOT / path) if path else ""


def shards(split):
    """The numbers of the shards of `split`; the last one of records may be short."""
    rooms, shard = settings["scenes"]["splits"].get(split, 0), settings["scenes"]["shard_size"]
    if source_of(split) != "rooms":
        rooms = -(-rooms // shard) * shard
    if rooms % shard:
        sys.exit(
            f"snakemake: scenes.splits.{split}: {rooms} rooms are no multiple of shard_size, {shard}"
        )
    return [f"{number:04d}" for number in range(rooms // shard)]


def shards_of(*splits):
    """The shards of `splits`, as split/shard."""
    return [f"{split}/{shard}" for split in splits for shard in shards(split)]


def places_of(folder, places):
    return [f"data/{folder}/{place}.json" for place in places]


def scenes_of(*splits):
    return places_of("scenes", shards_of(*splits))


def labels_of(*splits):
    return places_of(f"labels/{TEACHER}", shards_of(*splits))


def stand_ins(*splits):
    """The labels that stand in for geometry that scenes from outside have not."""
    return labels_of(*(split for split in splits if source_of(split) != "rooms"))


def teacher_beside():
    """The teacher's labels of what is measured: the report shows them beside what models lift."""
    return labels_of(SPLIT) if MEASURED["lift"] else []


def known_of(*splits):
    """What holds the geometry of these scenes."""
    return unique(*(scenes_of(s) if source_of(s) == "rooms" else labels_of(s) for s in splits))


def manifests_of(stage, arms):
    """The manifests of the jobs of `stage` that `arms` need, or that are made in any case."""
    trained = [arm for arm in arms if arm in ARMS]
    if stage == "scenes":
        return scenes_of(*settings["scenes"]["splits"])
    if stage == "labels":
        measured = stand_ins(SPLIT) if MEASURED["probe"] or ALSO else []
        made = labels_of(*settings["labels"]["splits"])
        return unique(made, measured, teacher_beside(), *map(arm_labels, trained))
    if stage == "pseudo":
        made = places_of("pseudo", shards_of(*settings["pseudo"]["splits"]))
        return unique(made, *map(arm_pseudo, trained))
    return models_of(stage, trained if stage == "train" else arms)


def unique(*lists):
    return list(dict.fromkeys(sum(lists, [])))


def of_run(stage):
    """The manifests that the report is about."""
    return manifests_of(stage, MEASURED.get(stage, TRAINED))


def of_ablations(stage):
    """The manifests that the paper's tables are about."""
    lifted = [arm for arm in ABLATED if ARMS.get(arm, {}).get("tasks")]
    asked = unique(["base"], ABLATED)  # it tells what was known before
    return manifests_of(stage, {"lift": lifted, "probe": [], "evaluate": asked}.get(stage, ABLATED))


def gathered(stage):
    """The manifests that the stage's own one lists."""
    asked = benchmarks_of(MEASURED[stage]) if stage == "evaluate" else []
    return unique(of_run(stage), asked, of_ablations(stage) if "ablations" in ALSO else [])


def spared(stage):
    """What `snakemake ablations` may have made: it stays where it is, but no run waits for it."""
    return [path for path in of_ablations(stage) if path not in gathered(stage)]


def folder_of(stage):
    """The folder that a gather clears: of one model's jobs, so that other models' stay."""
    return f"data/{stage}/{BASE}" if stage in ("train", *MEASURED) else f"data/{stage}"


def asked_shards(arm):
    """The shards of `train` whose questions an arm is asked: the first ones."""
    every = shards("train")
    return every[: round(ARMS[arm].get("text_share", 1) * len(every))]


def unasked_shards(arm):
    """What an arm with pseudo labels sees without text, as split/shard.

    The rest of `train`, or, where all of that is asked, the splits of the stage `pseudo`.
    """
    if not ARMS[arm].get("pseudo"):
        return []
    rest = [f"train/{shard}" for shard in shards("train")[len(asked_shards(arm)) :]]
    return rest or shards_of(*settings["pseudo"]["splits"])


def arm_section(wildcards):
    """The settings of one training job: the common ones and the arm's own."""
    return section("train", arms={wildcards.arm: ARMS[wildcards.arm]})


def arm_scenes(arm):
    """The scenes that an arm sees, with or without questions."""
    asked = [f"train/{shard}" for shard in asked_shards(arm)]
    return places_of("scenes", [*asked, *unasked_shards(arm)])


def arm_labels(arm):
    """The labels of an arm that learns geometry, not from pseudo labels alone."""
    if not (ARMS[arm].get("distill") or ARMS[arm].get("tasks")):
        return []
    if ARMS[arm].get("labels_share") == 0:
        return []
    teacher = ARMS[arm].get("teacher") or TEACHER
    return places_of(f"labels/{teacher}/train", asked_shards(arm))


def arm_pseudo(arm):
    """The pseudo labels of an arm that learns from them."""
    return places_of("pseudo", unasked_shards(arm))


def models_of(stage, arms):
    """One manifest of `stage` for each of `arms` and each seed; what is not trained has one."""
    seeds = settings["train"]["seeds"]
    return [
        f"data/{stage}/{BASE}/{arm}/{seed}/manifest.json"
        for arm in arms
        for seed in (seeds[:1] if arm in UNTRAINED else seeds)
    ]


def benchmarks_of(arms):
    """The manifests of every benchmark that `arms` are asked; what looks at no image is not."""
    models = models_of("evaluate", [arm for arm in arms if arm not in BASELINES])
    return [
        str(Path(path).with_name(name) / "manifest.json") for path in models for name in BENCHMARKS
    ]


def benchmark_section(wildcards):
    """How a benchmark is asked."""
    own = BENCHMARKS[wildcards.asked].items()
    return minified({key: value for key, value in own if key not in ("data", "get")})


@cache
def benchmark_digest(name):
    """A digest of the names and sizes of a benchmark's files."""
    return place_digest(ROOT / BENCHMARKS[name]["data"])


def taught_scenes(wildcards):
    """The scenes that a model was taught, which a benchmark should not show."""
    return [] if wildcards.arm in UNTRAINED else arm_scenes(wildcards.arm)


def model_of(wildcards):
    """The manifest that a measuring job waits for."""
    if wildcards.arm in UNTRAINED:
        return MLLM_MADE if wildcards.arm == "base" else []
    return model_path(wildcards)


def model_path(wildcards):
    """What a measuring job loads: the arm's training manifest, the base model, or a name."""
    if wildcards.arm in UNTRAINED:
        return MLLM if wildcards.arm == "base" else wildcards.arm
    return f"data/train/{BASE}/{wildcards.arm}/{wildcards.seed}/manifest.json"


def baseline_scenes(wildcards):
    """The scenes whose answers a baseline goes by."""
    return scenes_of("train") if wildcards.arm in BASELINES else []


def model_code(*packages):
    """As `code_version`; a job on the base model depends on its weights as well."""

    def digest(wildcards):
        return code_version(*packages, *(["weights/mllm"] if wildcards.arm == "base" else []))

    return digest
