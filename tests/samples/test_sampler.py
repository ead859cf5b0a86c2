"""Batches of a run: complete epochs, the ratio kept, the order a function of the seed."""

from collections import Counter
from itertools import islice

import pytest

from spatialsv.samples.sampler import SPATIAL, TEXT, BatchSampler


def test_each_pool_is_gone_through_once_an_epoch():
    sampler = BatchSampler(text=10, batch_size=4, batches=5, seed=0)
    draws = [draw for batch in sampler for draw in batch]
    for epoch in (0, 1):
        assert sorted(d.item for d in draws if d.epoch == epoch) == list(range(10))
    first, second = draws[:10], draws[10:]
    assert [d.item for d in first] != [d.item for d in second]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 20), (0.25, 10), (0.3, 12), (1.0, 40)])
def test_the_ratio_of_text_and_spatial_holds(share, expected):
    sampler = BatchSampler(text=7, spatial=5, spatial_share=share, batch_size=4, batches=10, seed=0)
    batches = list(sampler)
    assert {len(batch) for batch in batches} == {4}
    counts = Counter(draw.pool for batch in batches for draw in batch)
    assert counts[SPATIAL] == expected and counts[TEXT] == 40 - expected
    a_batch = [sum(draw.pool == SPATIAL for draw in batch) for batch in batches]
    assert max(a_batch) - min(a_batch) <= 1


def test_a_run_is_the_beginning_of_a_longer_one_and_follows_from_the_seed():
    def run(batches, seed):
        return list(
            BatchSampler(
                text=9, spatial=4, spatial_share=0.5, batch_size=3, batches=batches, seed=seed
            )
        )

    assert run(5, 1) == list(islice(run(9, 1), 5))
    assert run(5, 1) != run(5, 2)
    assert len(run(5, 1)) == 5


def test_an_empty_pool_that_is_needed_is_refused():
    with pytest.raises(ValueError, match="Expected spatial-only samples to fill 50%"):
        BatchSampler(text=3, spatial_share=0.5, batch_size=2, batches=1, seed=0)
    with pytest.raises(ValueError, match="Expected samples with questions"):
        BatchSampler(text=0, batch_size=2, batches=1, seed=0)
    with pytest.raises(ValueError, match=r"spatial_share: expected 0 to 1, found 1\.5"):
        BatchSampler(text=3, spatial=3, spatial_share=1.5, batch_size=2, batches=1, seed=0)
