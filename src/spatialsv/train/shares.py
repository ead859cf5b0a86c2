"""How much each forward pass of a step counts: by what it has of all that the step learns from.

Memory decides how a step's samples are cut into forward passes, over processes or one after the
other. The loss must not depend on that, so a pass's mean counts by what it runs over: text by
scored tokens, distillation by views, geometry by valid pixels. Then a step's mean is that of all
its samples in one batch. (Differences and normals count by valid pixels too, though their means run
over fewer: the same, but where passes differ in what holes and edges take.)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.losses.masked import counted
from spatialsv.losses.text import IGNORED
from spatialsv.samples.batch import Batch


class Shares(NamedTuple):
    """By what the means of one forward pass are to be multiplied; those of all passes average 1."""

    text: Float[Tensor, ""] | float = 1.0
    views: Float[Tensor, ""] | float = 1.0  # of the distillation
    pixels: Float[Tensor, ""] | float = 1.0  # of depth, rays and points

    def of(self, signal: str) -> Float[Tensor, ""] | float:
        """The share of a signal's terms."""
        return {"text": self.text, "distill": self.views}.get(signal, self.pixels)


WHOLE = Shares()  # of the only forward pass of a step


def counts(batch: Batch, reduction: Literal["mean", "sum"]) -> Float[Tensor, "3"]:
    """What the means of `batch` run over: scored tokens, views with geometry, valid pixels.

    Where text is a "sum" over a sample's tokens, samples that have any in place of tokens.
    """
    scored = batch.labels[:, 1:] != IGNORED  # the first token is nobody's next one
    found = [scored.sum() if reduction == "mean" else scored.any(dim=1).sum()]
    if batch.geometry is None:
        found += [found[0].new_zeros(())] * 2
    else:
        found += [batch.geometry.present.sum(), counted(batch.geometry).sum()]
    return torch.stack(found).float()


def shares(own: Float[Tensor, "3"], average: Float[Tensor, "3"]) -> Shares:
    """The shares of a forward pass with `own` counts, where all of its step have these on average.

    What no pass has any of counts 0.
    """
    return Shares(*(own / average.clamp_min(torch.finfo(average.dtype).tiny)))
