"""Which models and data the results are of, from the manifests of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from spatialsv.analysis.jobs import Job
from spatialsv.io.digests import digest_bytes
from spatialsv.io.manifest import Manifest


def describe_origin(
    evaluated: Sequence[Job], trains: Sequence[Job], scenes: Sequence[Manifest]
) -> dict[str, Any]:
    """Describe models and data; what the manifests do not record is left out.

    Args:
        evaluated: evaluate jobs.
        trains: training jobs.
        scenes: manifests of the measured scenes.

    Returns:
        `base`, its name and the digest of its weights; `teachers`; `seeds`; `data`, digests by
        name; and `libraries`, versions by name.
    """
    abouts = [job.manifest.about for job in trains]
    used = [about.get("data", {}) for about in abouts]
    data = {
        f"training {name}": _digests(own.get(name) for own in used)
        for name in dict.fromkeys(chain.from_iterable(used))
    }
    payload = [(name, digest) for one in scenes for name, digest in sorted(one.payload.items())]
    if payload:
        data["test scenes"] = digest_bytes(*(text.encode() for pair in payload for text in pair))
    weights = [job.manifest.about.get("weights") for job in evaluated if job.arm == "base"]
    bases = {job.manifest.path.parents[2].name for job in trains if job.manifest.path}
    digest = _digests([*weights, *(about.get("base") for about in abouts)])
    teachers = [teacher for about in abouts for teacher in about.get("teachers", ())]
    record = {
        "base": " ".join(filter(None, [", ".join(sorted(bases)), digest])),
        "teachers": ", ".join(sorted({_describe_teacher(one) for one in teachers})),
        "seeds": ", ".join(sorted({job.seed for job in trains}, key=lambda s: (len(s), s))),
        "data": data,
        "libraries": next((about["libraries"] for about in abouts if "libraries" in about), {}),
    }
    return {name: value for name, value in record.items() if value}


def _digests(found: Iterable[str | None]) -> str:
    """Return the only digest, or one over all different ones; empty without any."""
    unique = sorted({digest for digest in found if digest})
    return digest_bytes(*map(str.encode, unique)) if len(unique) > 1 else "".join(unique)


def _describe_teacher(teacher: dict[str, str]) -> str:
    revision = teacher.get("revision", "")[:12]
    return " ".join(filter(None, [teacher["teacher"], revision, f"({teacher['licence']})"]))
