"""Select the questions across views of all splits at once, before their shards are made.

Balance is a property of many rooms, so it cannot be reached shard by shard. One job renders what
the selection needs, the instance masks, and writes a file of questions for each shard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.rooms.evidence.candidates import cross_view_candidates, single_view_candidates
from spatialsv.rooms.evidence.counterbalance import balance_twins, counterbalance
from spatialsv.rooms.evidence.gates import failed_gates, gates
from spatialsv.rooms.evidence.pairs import render_pairs
from spatialsv.rooms.evidence.wording import to_questions
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.stage import ScenesConfig, selected_name
from spatialsv.scenes.question import write_questions

GATES = "gates.csv"
SEED = 0  # of the selection; the gates have another one


def run(config: ScenesConfig, out: Path) -> Manifest:
    """Select questions for every split whose `tasks` name them, check the gates, and write all.

    Args:
        config: of the stage `scenes`, with all splits.
        out: the manifest to write; next to it go the table of the gates, `gates.csv`, and the
            questions of each shard, `selection/{split}/{shard}.jsonl`.

    Returns:
        The manifest.

    Raises:
        ValueError: no split has such tasks, or the questions fail a gate.
    """
    splits = [split for split in config.splits if config.selected_tasks(split)]
    if not splits:
        raise ValueError("scenes.tasks: no split has questions across views, such as cross_side.")
    seeds = [seed for split in splits for seed in split_seeds(split, 0, config.splits[split])]
    split_of = np.repeat(splits, [config.splits[split] for split in splits])
    pairs = render_pairs(seeds, config.rooms)
    candidates = _keep_tasks(cross_view_candidates(pairs, SEED), split_of, config)
    twins = _keep_tasks(single_view_candidates(pairs, SEED), split_of, config)
    chosen = counterbalance(candidates, pairs, SEED)
    table = gates(chosen, pairs, SEED + 1)
    if failures := failed_gates(table):
        raise ValueError(
            f"scenes: the selected questions fail a gate. {' '.join(failures)} Add rooms, or change"
            " scenes.rooms."
        )
    rows = pd.concat([chosen, balance_twins(twins, SEED)], ignore_index=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out.parent / GATES, table.round(2).to_csv())
    payload = {GATES: digest_path(out.parent / GATES)}
    questions = np.array(to_questions(rows, pairs, SEED), dtype=object)
    first = dict(zip(splits, np.cumsum([0, *map(config.splits.get, splits)]), strict=False))
    for split in splits:
        shard_of_row = (rows["room"] - first[split]) // config.shard_size
        for shard in range(config.splits[split] // config.shard_size):
            name = selected_name(split, shard)
            own = ((rows["split"] == split) & (shard_of_row == shard)).to_numpy()
            payload[name] = write_questions(out.parent / name, questions[own])
    return write_manifest(
        out,
        Manifest(
            stage="scenes",
            payload=payload,
            counts={"selected": len(rows)},
            config=to_mapping(config),
        ),
    )


def _keep_tasks(rows: pd.DataFrame, split_of: np.ndarray, config: ScenesConfig) -> pd.DataFrame:
    """Return the rows of tasks that their split asks for, with a column `split`."""
    rows = rows.assign(split=split_of[rows["room"]])
    wanted = {split: set(config.selected_tasks(split)) for split in np.unique(split_of)}
    keep = [r.task in wanted[r.split] for r in rows[["task", "split"]].itertuples()]
    return rows[keep].reset_index(drop=True)
