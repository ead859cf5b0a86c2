"""SpatialSV: geometry supervision on the visual hidden states of multimodal LLMs.

The names below are the public interface. Each is imported on first use (PEP 562), so that
`import spatialsv` loads no other package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatialsv.geometry.align import align_depth
    from spatialsv.geometry.cameras_from_rays import Cameras, RobustConfig, cameras_from_rays
    from spatialsv.geometry.rays import RayMap, point_map, ray_map
    from spatialsv.geometry.similarity import umeyama
    from spatialsv.losses.total import SpatialLossConfig, spatial_losses
    from spatialsv.model.families.family import Family
    from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
    from spatialsv.model.mllm import load_mllm
    from spatialsv.model.spatialsv import SpatialSV
    from spatialsv.samples.collate import Collate
    from spatialsv.samples.dataset import SceneDataset
    from spatialsv.scenes.question import Question
    from spatialsv.scenes.scene import Geometry, Scenes
    from spatialsv.scenes.store import SceneRef, load_store, open_store, write_store
    from spatialsv.teachers.load import load_teacher

__version__ = "0.1.0"

_MODULES = {  # public name -> the module that defines it
    "Cameras": "geometry.cameras_from_rays",
    "Collate": "samples.collate",
    "Family": "model.families.family",
    "Geometry": "scenes.scene",
    "Question": "scenes.question",
    "RayMap": "geometry.rays",
    "RobustConfig": "geometry.cameras_from_rays",
    "SceneDataset": "samples.dataset",
    "SceneRef": "scenes.store",
    "Scenes": "scenes.scene",
    "SpatialHeads": "model.heads",
    "SpatialHeadsConfig": "model.heads",
    "SpatialLossConfig": "losses.total",
    "SpatialSV": "model.spatialsv",
    "align_depth": "geometry.align",
    "cameras_from_rays": "geometry.cameras_from_rays",
    "load_mllm": "model.mllm",
    "load_store": "scenes.store",
    "load_teacher": "teachers.load",
    "open_store": "scenes.store",
    "point_map": "geometry.rays",
    "ray_map": "geometry.rays",
    "spatial_losses": "losses.total",
    "umeyama": "geometry.similarity",
    "write_store": "scenes.store",
}

__all__ = [
    "Cameras",
    "Collate",
    "Family",
    "Geometry",
    "Question",
    "RayMap",
    "RobustConfig",
    "SceneDataset",
    "SceneRef",
    "Scenes",
    "SpatialHeads",
    "SpatialHeadsConfig",
    "SpatialLossConfig",
    "SpatialSV",
    "align_depth",
    "cameras_from_rays",
    "load_mllm",
    "load_store",
    "load_teacher",
    "open_store",
    "point_map",
    "ray_map",
    "spatial_losses",
    "umeyama",
    "write_store",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'spatialsv' has no attribute {name!r}")
    value = getattr(import_module(f"spatialsv.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
