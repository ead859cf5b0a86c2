"""Check of a model's outputs for NaN and infinite values."""

from __future__ import annotations

from torch import Tensor, nn


def check_finite(values: Tensor, model: nn.Module, what: str) -> None:
    """Raise ValueError if `values` are not all finite.

    Args:
        values: outputs of `model`.
        model: its weights are searched for the cause.
        what: names the values in the error, in the plural.

    Raises:
        ValueError: a value is NaN or infinite; the message names the first broken weight.
    """
    if values.isfinite().all():
        return
    name = getattr(model, "name_or_path", "") or type(model).__name__
    weights = model.named_parameters()
    broken = next((weight for weight, value in weights if not value.isfinite().all()), None)
    cause = f"So is its weight {broken}. Use another checkpoint."
    if broken is None:
        cause = f"All its weights are finite, so {values.dtype} overflows. Use float32."
    raise ValueError(f"{name}: {what} are NaN or infinite. {cause}")
