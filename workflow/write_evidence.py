"""Write docs/results/evidence.json from a finished run of the overlay `evidence`.

    python workflow/write_evidence.py [CLONE] [OVERLAY]

CLONE is the working copy that holds the run (this one). All shares are in per cent. `failed` names
the gates that the run does not pass; it must be empty for the differences to count as evidence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from dag import to_json  # noqa: E402
from settings import load_settings  # noqa: E402
from spatialsv.io.atomic import write_json  # noqa: E402
from spatialsv.io.digests import digest_path  # noqa: E402
from spatialsv.rooms.evidence.gates import CLASSIFIERS, WITH_TURN, failed_gates  # noqa: E402
from spatialsv.scenes.question import CROSS_VIEW  # noqa: E402

CHANCE = 50.0
MIN_RECOGNITION = 97.0  # of the untuned base
MAX_NO_IMAGE = CHANCE + 5
CONTROLS = ("shuffled", "detached", "geometry_first")  # arms with these prefixes


def main(clone: str = str(ROOT), overlay: str = "evidence") -> None:
    """Write the record of one run and print it."""
    record = evidence(Path(clone) / "data")
    settings = load_settings(Path(clone), {"overlay": overlay})
    record["configuration"] = sha256(to_json(settings).encode()).hexdigest()[:16]
    write_json(ROOT / "docs/results/evidence.json", record)
    print(json.dumps(record, indent=1))


def evidence(data: Path) -> dict[str, Any]:
    """Return the record of a finished run.

    Args:
        data: the folder of its artefacts.

    Raises:
        SystemExit: a table is missing.
    """
    names = {
        "analysis": ("shortcuts", "scores", "causal_readers"),
        "ablations": ("ablation_arms", "label_curves", "label_efficiency"),
    }
    paths = {name: data / stage / f"{name}.csv" for stage, own in names.items() for name in own}
    if missing := [path for path in paths.values() if not path.is_file()]:
        sys.exit(f"{missing[0]}: missing. Run `snakemake --cores all --config overlay=evidence`.")
    tables = {name: pd.read_csv(path) for name, path in paths.items()}
    shortcuts = tables["shortcuts"].pivot(index="task", columns="shortcut", values="accuracy") * 100
    shortcuts["questions"] = tables["shortcuts"].groupby("task")["n"].first()
    gates = _gates(shortcuts, tables["scores"])
    rows = tables["ablation_arms"]
    labels = tables["label_curves"].query("method == 'first'").set_index("arm")["labels"]
    compared = rows.dropna(subset=["difference"]).drop_duplicates("arm").set_index("arm")
    by_arm = {str(arm): row for arm, row in compared.iterrows()}
    return {
        "gates": gates,
        "failed": _failed(shortcuts, gates),
        "difference": {
            str(int(count)): _difference(by_arm[str(arm)]) for arm, count in labels.items()
        },
        "controls": {
            arm: _difference(row) for arm, row in by_arm.items() if arm.startswith(CONTROLS)
        },
        "label_efficiency": json.loads(tables["label_efficiency"].to_json(orient="records")),
        "causal": _causal(tables["causal_readers"]),
        "digests": {stage: digest_path(data / stage / "manifest.json") for stage in names},
    }


def _gates(shortcuts: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    """Return what shortcuts, the untuned base and a model without images achieve."""
    base = scores.query("arm == 'base' and task == 'recognition'")["mean"]
    blank = scores[(scores["arm"] == "no_image") & scores["task"].isin(CROSS_VIEW)]["mean"]
    return {
        "chance": CHANCE,
        "without_geometry": shortcuts[list(CLASSIFIERS)].max(axis=1).round(1).to_dict(),
        "with_turn": shortcuts[list(WITH_TURN)].mean().round(1).to_dict(),
        "true_geometry": shortcuts["true_geometry"].round(1).to_dict(),
        "recognition": None if base.empty else round(100 * float(base.iloc[0]), 1),
        "no_image": None if blank.empty else round(100 * float(blank.mean()), 1),
    }


def _failed(shortcuts: pd.DataFrame, gates: Mapping[str, Any]) -> list[str]:
    """Return the gates that fail, as sentences."""
    failed = failed_gates(shortcuts)
    recognition, no_image = gates["recognition"], gates["no_image"]
    if recognition is None or recognition < MIN_RECOGNITION:
        failed.append(
            f"The untuned base recognises {recognition} % of objects; {MIN_RECOGNITION:g} % are"
            " needed."
        )
    if no_image is None or no_image > MAX_NO_IMAGE:
        failed.append(
            f"The model without images answers {no_image} %; at most {MAX_NO_IMAGE:g} % is chance."
        )
    return failed


def _difference(row: pd.Series) -> dict[str, Any]:
    """Return the difference of an arm to the arm that it is compared with, in points."""
    return {
        "points": round(100 * float(row["difference"]), 2),
        "interval": [round(100 * float(row[end]), 2) for end in ("low", "high")],
        "p": float(row["p"]),
        "p_holm": float(row["p_holm"]),
        "against": str(row["against"]),
        "seeds": int(row["seeds"]),
    }


def _causal(readers: pd.DataFrame) -> dict[str, Any]:
    """Return how many seeds of each arm have which conclusion."""
    each = readers.drop_duplicates(["arm", "seed"])
    return {
        str(arm): part["conclusion"].value_counts().to_dict()
        for arm, part in each.groupby("arm", sort=False)
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
