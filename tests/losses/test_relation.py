"""Relational distillation: against loops over pairs of tokens, and what must not count."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.losses import relation
from spatialsv.losses.distill import token_mask
from spatialsv.losses.relation import count_relations, relation_terms
from spatialsv.losses.total import SpatialLossConfig, count_terms, spatial_losses


@pytest.fixture
def states(draw) -> torch.Tensor:
    return draw(-1, 1, 3, 2, 2, 3, 7)  # of another width than the features


@pytest.fixture
def tokens(labels) -> torch.Tensor:
    return token_mask(labels, (2, 3)).clone()


def pooled(features):
    """Means over the 2 x 2 patches of each token."""
    out = np.empty((*features.shape[:2], 2, 3, features.shape[-1]))
    for b, n, r, c in np.ndindex(out.shape[:4]):
        out[b, n, r, c] = features[b, n, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean((0, 1))
    return out


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def reference(states, features, counts):
    """The two terms, pair by pair."""
    l1, rows = {True: [], False: []}, {True: [], False: []}
    targets = pooled(features)
    for b in range(len(states)):
        tokens = [i for i in np.ndindex(2, 2, 3) if counts[b][i]]
        for i in tokens:
            for same in (True, False):
                others = [j for j in tokens if (j[0] == i[0]) == same]
                if not others:
                    continue
                own = np.array([cosine(states[b][i], states[b][j]) for j in others])
                true = np.array([cosine(targets[b][i], targets[b][j]) for j in others])
                l1[same] += list(abs(own - true))
                rows[same].append(1 - cosine(own, true))
    return {
        "l1": np.mean(l1[True]) + np.mean(l1[False]),
        "cosine": np.mean(rows[True]) + np.mean(rows[False]),
    }


@pytest.mark.parametrize("block", [1, 5, 256])
@pytest.mark.parametrize("border", [False, True])
def test_both_terms_equal_their_equations_in_blocks_of_any_size(
    states, labels, tokens, block, border, monkeypatch
):
    if border:
        tokens[0, 0, 0, :2] = tokens[0, 1, :, 2] = tokens[2, 0, 1, 1] = False
    monkeypatch.setattr(relation, "BLOCK", block)
    found = relation_terms(states, labels.features, tokens)
    expected = reference(states.numpy(), labels.features.numpy(), tokens.numpy())
    assert {k: v.mean().item() for k, v in found.items()} == pytest.approx(expected, rel=1e-9)


def test_counts_are_those_of_the_terms(states, labels, tokens):
    terms = relation_terms(states, labels.features, tokens)
    own = count_relations(tokens)
    assert own["l1"].tolist() == [3 * 36, 2 * 36] and own["cosine"].tolist() == [18, 12]
    for name, term in terms.items():
        assert [count.item() for _, count in term.pairs] == own[name].tolist()
    config = SpatialLossConfig(tasks=("relation",))
    counts = count_terms(labels, config, (2, 3), torch.device("cpu"))
    assert counts.keys() == {"relation/l1", "relation/cosine"}
    assert counts["relation/l1"].tolist() == own["l1"].tolist()


def test_a_rotated_and_scaled_teacher_is_matched_exactly(draw, tokens):
    features = draw(-1, 1, 3, 2, 2, 3, 5).requires_grad_()
    turn = torch.linalg.qr(draw(-1, 1, 5, 5)).Q
    lengths = draw(0.5, 2, 3, 2, 2, 3, 1)
    terms = relation_terms(features @ turn * lengths, features, tokens)
    assert all(term.mean().abs() < 1e-9 for term in terms.values())
    assert not any(count.requires_grad for term in terms.values() for _, count in term.pairs)


def test_features_get_no_gradient_and_absent_views_are_never_seen(states, labels, tokens):
    expected = relation_terms(states, labels.features, tokens)
    absent = ~labels.present[:, :, None, None, None]
    spoilt = states.masked_fill(absent, torch.nan).requires_grad_()
    features = labels.features.masked_fill(absent, torch.nan).requires_grad_()
    found = relation_terms(spoilt, features, tokens)
    total = sum(term.mean() for term in found.values())
    torch.testing.assert_close(total, sum(term.mean() for term in expected.values()))
    total.backward()
    assert features.grad is None
    assert spoilt.grad.isfinite().all() and (spoilt.grad[~labels.present] == 0).all()
    assert (spoilt.grad[labels.present] != 0).any()


def test_one_view_has_no_relation_across_views(states, labels, tokens):
    one = relation_terms(states[:, :1], labels.features[:, :1], tokens[:, :1])
    for term in one.values():
        assert term.pairs[0][0] > 0 and term.pairs[1][0] == 0 == term.pairs[1][1]


def test_it_is_a_signal_with_the_terms_that_are_asked_for(states, labels):
    config = SpatialLossConfig(tasks=("relation",), relation=("l1",))
    found = spatial_losses(None, labels, config, related=states)
    assert found.keys() == {"relation/l1", "total"} and found["total"] == found["relation/l1"]
    with pytest.raises(ValueError, match=r"losses\.relation: found no term\. Give l1, cosine"):
        SpatialLossConfig(relation=())
    with pytest.raises(ValueError, match="asks for relation, but the heads have no hidden state"):
        spatial_losses(None, labels, config)
    with pytest.raises(ValueError, match="asks for relation, but the labels have no features"):
        spatial_losses(None, replace(labels, features=None), config, related=states)


def test_gradients_are_those_of_finite_differences(states, labels, tokens, monkeypatch):
    monkeypatch.setattr(relation, "BLOCK", 5)

    def total(own):
        terms = relation_terms(own, labels.features, tokens)
        return sum(term.mean() for term in terms.values())

    assert torch.autograd.gradcheck(total, [states.requires_grad_()])


def test_the_graph_of_a_block_is_not_kept(draw):
    """Autograd saves tokens, but no row of the Gram matrix."""
    states = draw(-1, 1, 1, 2, 16, 16, 4).requires_grad_()  # 512 tokens
    features, tokens = draw(-1, 1, 1, 2, 16, 16, 4), torch.ones(1, 2, 16, 16).bool()
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor
    )
    with hooks:
        relation_terms(states, features, tokens)
    assert max(saved) < 512 * 8


def test_borders_of_an_image_learn_no_features(draw, labels, states, distilled):
    border = torch.zeros(3, 2, 4, 6, dtype=torch.bool)
    border[0, 0, 3, 5] = border[2, 0, :2] = True  # one patch of a token is enough
    framed = replace(labels, border=border)
    states, distilled = states.requires_grad_(), distilled.requires_grad_()
    config = SpatialLossConfig(tasks=("distill", "relation"))
    terms = spatial_losses(None, framed, config, distilled, related=states)
    terms["total"].backward()
    shown = torch.ones(2, 3, dtype=torch.bool)
    corner, below = shown.clone(), shown.clone()
    corner[1, 2], below[0] = False, False
    for gradient in (states.grad, distilled.grad):
        changed = (gradient != 0).any(dim=-1)
        assert torch.equal(changed[0, 0], corner) and torch.equal(changed[2, 0], below)
    counts = count_terms(framed, config, (2, 3), torch.device("cpu"))
    assert counts["distill"].item() == 5 + 6 + 3
    assert counts["relation/l1"].tolist() == [25 + 36 + 9, 2 * 30]
