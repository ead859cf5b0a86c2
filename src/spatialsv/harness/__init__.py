"""A model of ours in lmms-eval, which finds `manifest` by the entry point `lmms_eval.models`.

It is read whenever lmms-eval lists its models, so nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """What lmms-eval is told: the model's name there, and the class that runs it."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("spatialsv", chat_class_path="spatialsv.harness.plugin.SpatialSVChat")
