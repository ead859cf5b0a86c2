"""What the rules share: the settings, the lists of jobs, and the checks before a run."""

import os
import shutil
import sys
from functools import cache, partial
from pathlib import Path

from snakemake import persistence

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow"))

from console import Console
from dag import STAGES, Dag
from provenance import replace_records
from requirements import adapter_files
from settings import load_settings
from sources import code_digest, path_digest
from spatialsv.io.jobs import PARENT, process_token
from start import one_run, start_run
from words import as_words

try:
    replace_records(persistence, ROOT, partial(one_run, ROOT))
    settings = load_settings(ROOT, config)
    dag = Dag(settings, config["also"])
except (RuntimeError, ValueError) as error:
    sys.exit(f"snakemake: {error}")
console = Console(ROOT, workflow, config)
os.environ[PARENT] = process_token(os.getpid())  # jobs end with this process

# A job that runs a model takes the GPU. Without one, as many jobs run as there are cores.
GPU = 1 if shutil.which("nvidia-smi") else 0
THREADS = 2 if GPU else 1
# An MLLM adapter outside this package: its file is an input, since no digest of code covers it.
ADAPTER_FILES = adapter_files(dag.adapter)
FAMILY = ["--family", dag.adapter] if dag.adapter else []
COMMERCIAL = ["--commercial"] if dag.commercial else []

code_version = cache(partial(code_digest, ROOT))
digest_of = cache(lambda path: path_digest(ROOT / path) if path else "")


def words(name=None):
    """Return a parameter: the words of a command for all input files, or those of one name."""
    return lambda wildcards, input: as_words(ROOT, input.get(name, []) if name else input)


wildcard_constraints:
    split="[a-z]+",
    shard=r"\d{4}\d*",
    teacher="[a-z0-9_]+",
    arm="[a-z0-9_]+",
    seed=r"\d+",
    name="[a-z0-9_]+",


onstart:
    if workflow.is_main_process:
        start_run(ROOT, workflow, config, settings)
        console.start()
