"""Evidence world: questions across views that need geometry, and the gates that check it.

Rooms have two free cameras each (`rooms.free_views`).

- `render_pairs(seeds, config)` measures what two views show of many rooms, and
  `measure_pairs(measured, instances)` does so for rooms that are rendered already;
- `cross_view_candidates(pairs, seed)` lists questions that need one frame across both views,
  `single_view_candidates(pairs, seed)` their twins: the same forms, answerable within one view;
- `counterbalance(candidates, pairs, seed)` selects questions that shortcuts do not answer, and
  `balance_twins(candidates, seed)` twins with equally frequent answers;
- `to_questions(chosen, pairs, seed)` words them;
- `gates(chosen, pairs, seed)` measures what classifiers without geometry achieve.

The stage is `evidence.stage`, the command `spatialsv select`.
"""

from spatialsv.rooms.evidence.candidates import cross_view_candidates, single_view_candidates
from spatialsv.rooms.evidence.counterbalance import balance_twins, counterbalance
from spatialsv.rooms.evidence.gates import failed_gates, gates
from spatialsv.rooms.evidence.pairs import ViewPairs, measure_pairs, render_pairs
from spatialsv.rooms.evidence.wording import to_questions

__all__ = [
    "ViewPairs",
    "balance_twins",
    "counterbalance",
    "cross_view_candidates",
    "failed_gates",
    "gates",
    "measure_pairs",
    "render_pairs",
    "single_view_candidates",
    "to_questions",
]
