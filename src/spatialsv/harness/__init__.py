"""The model plugin of lmms-eval, which finds `manifest` by the entry point `lmms_eval.models`.

The module is imported whenever lmms-eval lists its models, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """Return the model's name in lmms-eval and the class that runs it."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("spatialsv", chat_class_path="spatialsv.harness.plugin.SpatialSVChat")
