"""What the rules share: the settings, the lists of jobs, and the checks before a run."""

import shutil
import sys
from functools import cache, partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow"))

from dag import EXTRA_STAGES, STAGES, Dag
from guard import check_overlay, check_provenance, check_required, claim, clear_stale_locks
from requirements import adapter_files, find_requirements
from settings import load_settings
from sources import code_digest, path_digest

try:
    if workflow.is_main_process:  # not a job that a cluster executor starts
        if (active := clear_stale_locks(ROOT)) and not workflow.output_settings.dryrun:
            print(f"snakemake: {active}", file=sys.stderr)
        if not config.get("adopt"):
            check_provenance(ROOT, [*STAGES, *EXTRA_STAGES])
    settings = load_settings(ROOT, config)
    dag = Dag(settings, config["also"])
except (RuntimeError, ValueError) as error:
    sys.exit(f"snakemake: {error}")

# A job that runs a model takes the GPU. Without one, as many jobs run as there are cores.
GPU = 1 if shutil.which("nvidia-smi") else 0
THREADS = 2 if GPU else 1
# An MLLM adapter outside this package: its file is an input, since no digest of code covers it.
ADAPTER_FILES = adapter_files(dag.adapter)
FAMILY = f" --family {dag.adapter}" if dag.adapter else ""

code_version = cache(partial(code_digest, ROOT))
digest_of = cache(lambda path: path_digest(ROOT / path) if path else "")


wildcard_constraints:
    split="[a-z]+",
    shard=r"\d{4}",
    teacher="[a-z0-9_]+",
    arm="[a-z0-9_]+",
    seed=r"\d+",
    name="[a-z0-9_]+",


onstart:
    if workflow.is_main_process:
        jobs = list(workflow.dag.needrun_jobs())
        try:
            claim(ROOT)
            if not workflow.touch and any(job.rule.name != "paper" for job in jobs):
                check_overlay(ROOT, config["overlay"], [*STAGES, *EXTRA_STAGES])
                arms = {job.wildcards.arm for job in jobs if job.rule.name == "train_arm"}
                check_required(ROOT, *find_requirements(ROOT, settings, sorted(arms)))
        except RuntimeError as error:
            raise WorkflowError(f"snakemake: {error}")
