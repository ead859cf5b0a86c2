"""Classifiers that see everything about a question but geometry, fitted out of fold.

They see the objects of a question, not the others in the room: boxes of objects that both
views share reveal the relative pose, which is geometry.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import nn

from spatialsv.rooms.evidence.pairs import ViewPairs
from spatialsv.rooms.parts import CATEGORIES, COLOURS

FOLDS = 3  # rooms of a fold are never seen in training
WIDTH, BATCH, RATE, DECAY = 128, 256, 3e-3, 0.05  # of the MLP
EPOCHS, STEPS = 60, (200, 1500)  # and the least and most steps
NEIGHBOURS = 31


def features(rows: pd.DataFrame, pairs: ViewPairs) -> Float[np.ndarray, "Q F"]:
    """Return visibility, boxes, sizes, colours and categories of the objects of a question.

    Each object has a place, so that their order is known; the last columns say which view is meant.
    """
    room = rows["room"].to_numpy()
    columns = []
    for name in "abc":
        item = rows[name].to_numpy()
        present = (item >= 0)[:, None]
        for view in (0, 1):
            columns += [
                present * pairs.visible[room, view, item][:, None],
                present * pairs.share[room, view, item][:, None],
                present * pairs.box[room, view, item],
            ]
    for name in "abc":
        item = rows[name].to_numpy()
        present = (item >= 0)[:, None]
        columns.append(present * np.eye(len(COLOURS))[pairs.colour[room, item]])
        columns.append(present * np.eye(len(CATEGORIES))[pairs.category[room, item]])
    columns.append(rows["view"].to_numpy()[:, None])
    return np.concatenate(columns, axis=1).astype(np.float32)


def assign_folds(rows: pd.DataFrame, seed: int) -> Int[np.ndarray, " Q"]:
    """Return the fold of each question; questions about one room share it."""
    rooms = np.unique(rows["room"])
    shuffled = np.random.default_rng([seed, 33]).permutation(len(rooms)) % FOLDS
    return shuffled[np.searchsorted(rooms, rows["room"])]


def mlp_logits(
    rows: pd.DataFrame, inputs: Float[np.ndarray, "Q F"], seed: int
) -> Float[np.ndarray, " Q"]:
    """Return the out-of-fold logit of each answer by one MLP for all tasks."""
    tasks = pd.get_dummies(rows["task"]).to_numpy(dtype=np.float32)
    x = torch.from_numpy(np.concatenate([inputs, tasks], axis=1).astype(np.float32))
    x = (x - x.mean(dim=0)) / x.std(dim=0).clamp(min=1e-3)
    y = torch.from_numpy(rows["answer"].to_numpy(dtype=np.float32))
    folds, logits = torch.from_numpy(assign_folds(rows, seed)), np.zeros(len(rows))
    for fold in range(FOLDS):
        held = folds == fold
        net = _fit_mlp(x[~held], y[~held], seed)
        with torch.no_grad():
            logits[held.numpy()] = net(x[held])[:, 0].numpy()
    return logits


def _fit_mlp(x: torch.Tensor, y: torch.Tensor, seed: int) -> nn.Module:
    steps = int(np.clip(EPOCHS * len(x) / BATCH, *STEPS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(x.shape[1], WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, 1),
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (steps - step) / (0.6 * steps))
        )
        for _ in range(steps):
            index = torch.randint(len(x), (BATCH,))
            loss = nn.functional.binary_cross_entropy_with_logits(net(x[index])[:, 0], y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net


def neighbour_answers(
    rows: pd.DataFrame, inputs: Float[np.ndarray, "Q F"], seed: int
) -> Bool[np.ndarray, " Q"]:
    """Return the out-of-fold answer of each question by its nearest neighbours of the same task."""
    answers, folds = rows["answer"].to_numpy(), assign_folds(rows, seed)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0).clip(min=1e-3)
    said = np.zeros(len(rows), dtype=bool)
    for task in rows["task"].unique():
        for fold in range(FOLDS):
            same = (rows["task"] == task).to_numpy()
            train, held = (
                np.flatnonzero(same & (folds != fold)),
                np.flatnonzero(same & (folds == fold)),
            )
            if not len(train) or not len(held):
                continue
            count = min(NEIGHBOURS, len(train))
            _, index = KDTree(scaled[train]).query(scaled[held], k=count)
            said[held] = answers[train][index.reshape(len(held), count)].mean(axis=1) > 0.5
    return said
