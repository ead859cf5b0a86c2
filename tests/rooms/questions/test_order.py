"""Order of first appearance."""

from __future__ import annotations

import numpy as np

from spatialsv.rooms.questions.order import appearance_order


def test_things_first_appear_in_the_order_told(surveys):
    count = 0
    for measured in surveys:
        for one in appearance_order(measured, np.random.default_rng(0)):
            assert sorted(map(sorted, (o.split(", ") for o in one.options)))[0] == list(one.cues)
            assert len(set(one.options)) == 4
            firsts = [
                next(v for v in measured.views if measured.share[v, i] * 4096 > 2)
                for i in (measured.names.index(name) for name in one.answer.split(", "))
            ]
            assert firsts == sorted(set(firsts))  # strictly later, each unglimpsed before
            count += 1
    assert count > 60
