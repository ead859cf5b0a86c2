"""Which artefacts are current: their manifests say so, whatever else Snakemake recorded.

A manifest holds digests of the settings, the code and the inputs that it was made from. A job runs
again where one of them differs, or where the manifest is missing. Snakemake's own records
(`.snakemake/metadata`, `.snakemake/incomplete`, the times of files) do not count: a job that ended
after Snakemake did, or artefacts from `dvc pull`, have none or wrong ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from spatialsv.io.digests import digest_bytes, digest_input

REQUESTS = ".snakemake/jobs"
REPLACED = (  # what Snakemake asks its records
    *("has_metadata", "has_outdated_metadata", "params_changed", "input_changed", "code_changed"),
    *("software_stack_changed", "input_checksums", "incomplete", "lock", "locked"),
)


def request_of(job: Any) -> dict[str, Any]:
    """Return what a job is requested to make its manifest from.

    Args:
        job: Snakemake's job.

    Returns:
        `settings`, a digest of the rule's command and its parameters but for `code`; `code`, a
        digest; and `inputs`, the paths of the job's input files.
    """
    params = dict(job.params.items())
    code = params.pop("code")
    text = json.dumps([job.rule.shellcmd, params], sort_keys=True, default=list)
    settings = digest_bytes(text.encode())
    return {"settings": settings, "code": code, "inputs": sorted(map(str, job.input))}


def find_differences(root: Path, job: Any) -> dict[str, tuple[str, str]]:
    """Return in what the manifest of a job differs from what the job would be made from now.

    Args:
        root: the repository.
        job: Snakemake's job.

    Returns:
        `settings`, `code` or the path of an input -> its digest in the manifest and now.
    """
    if not hasattr(job.output, "manifest") or not (root / job.output.manifest).is_file():
        return {}  # Snakemake says itself what is missing
    try:
        recorded = json.loads((root / job.output.manifest).read_text())["made_from"]
        old = {**recorded["inputs"], "settings": recorded["settings"], "code": recorded["code"]}
    except (ValueError, KeyError, TypeError):
        old = {}
    request = request_of(job)
    new = {name: request[name] for name in ("settings", "code")}
    # Below data/, only what the rule declares: a new timing does not make the report stale.
    others = (path for path in old if path.partition("/")[0] != "data")
    for path in {*request["inputs"], *others} - new.keys():
        if digest := _digest(root, path):  # "" of what is not there
            new[path] = digest
    return {name: (old.get(name, "none"), new[name]) for name in new if old.get(name) != new[name]}


def write_requests(root: Path, jobs: Iterable[Any]) -> None:
    """Write the request of each job, unless it is there: a job of an older request then stops.

    Args:
        root: the repository.
        jobs: Snakemake's jobs.
    """
    for job in _with_manifest(jobs):
        request = request_of(job) | {"command": command_digest(job.shellcmd)}
        path, text = root / REQUESTS / job.output.manifest, json.dumps(request)
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text)


def command_digest(shell_command: str) -> str:
    """Return a digest of the words of a rule's command, from `spatialsv` to the value of `--out`.

    A job compares them with its own words, for a cluster may start it after settings were changed.

    Args:
        shell_command: the formatted command, with redirections.
    """
    words = shlex.split(shell_command)
    start = next(i for i, word in enumerate(words) if word in ("spatialsv", "spatialsv.cli")) + 1
    return digest_bytes(*map(os.fsencode, words[start : words.index("--out") + 2]))


def adopt(root: Path, jobs: Iterable[Any]) -> None:
    """Record in the manifests of jobs that they were made from today's settings, code and inputs.

    Args:
        root: the repository.
        jobs: Snakemake's jobs, each after those that it depends on.
    """
    for job in _with_manifest(jobs):
        path, request = root / job.output.manifest, request_of(job)
        inputs = {name: digest_input(root / name) for name in request["inputs"]}
        record = json.loads(path.read_text()) | {"made_from": request | {"inputs": inputs}}
        _replace(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def replace_records(
    persistence: ModuleType, root: Path, lock: Callable[[], AbstractContextManager[None]]
) -> None:
    """Have Snakemake ask manifests where it would ask its records, and use our lock.

    Args:
        persistence: the module `snakemake.persistence`.
        root: the repository.
        lock: holds the clone for one run.

    Raises:
        RuntimeError: this version of Snakemake asks something else.
    """
    records = persistence.PersistenceBase
    if missing := [name for name in REPLACED if not hasattr(records, name)]:
        raise RuntimeError(
            f"this version of Snakemake has no {missing[0]} in its records. Install the version of"
            " constraints.txt."
        )
    differences = cache(lambda job: find_differences(root, job))

    def params_changed(self: Any, job: Any, file: Any = None) -> Any:
        found = differences(job)
        before, now = ({f"{name} {pair[i]}" for name, pair in found.items()} for i in (0, 1))
        return persistence.ParamsChange(only_old=before, only_new=now, files=set(job.output))

    def input_checksums(self: Any, job: Any, path: Any) -> set[str]:
        """Return the checksum of an input as it is, so that its time does not count."""
        return {f"sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}"}

    async def incomplete(self: Any, job: Any) -> list[Any]:
        return []  # manifests are written last and atomically

    nothing: Callable[..., tuple[()]] = lambda self, job, file=None: ()  # noqa: E731
    values = {
        "has_metadata": lambda self, job: True,
        "has_outdated_metadata": lambda self, job: False,
        "params_changed": params_changed,
        **dict.fromkeys(("input_changed", "code_changed", "software_stack_changed"), nothing),
        "input_checksums": input_checksums,
        "incomplete": incomplete,
        "lock": lambda self: lock(),
        "locked": False,
    }
    for name, value in values.items():
        setattr(records, name, value)


def _with_manifest(jobs: Iterable[Any]) -> Iterator[Any]:
    return (job for job in jobs if hasattr(job.output, "manifest"))


def _replace(path: Path, text: str) -> None:
    """Write a file atomically; unlike `write_text`, without a look at all files next to it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@cache
def _digest(root: Path, path: str) -> str:
    return digest_input(root / path)
