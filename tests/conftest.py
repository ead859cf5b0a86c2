"""Fixtures that several test folders share: a tiny real-format MLLM and a few synthetic scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers.tiny import save_tiny_mllm, synthetic_labels, synthetic_questions, synthetic_scenes
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Scenes

torch.set_num_threads(1)  # sums are then done in one order, so runs can be compared bit for bit


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the processes that they start, neither read nor write the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_mllm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random-weight Qwen2.5-VL of 4 layers, in the on-disk format of real ones."""
    return save_tiny_mllm(tmp_path_factory.mktemp("tiny_mllm"))


@pytest.fixture(scope="session")
def tiny_scenes() -> Scenes:
    """Six scenes of 2 views, 32 x 32 px: a tilted plane seen by two cameras; depth is exact."""
    return synthetic_scenes()


@pytest.fixture(scope="session")
def tiny_labels(tiny_scenes: Scenes) -> Scenes:
    """What an exact teacher says of `tiny_scenes`: first-view frame, mean distance 1, features."""
    return synthetic_labels(tiny_scenes)


@pytest.fixture(scope="session")
def tiny_questions(tiny_scenes: Scenes) -> list[Question]:
    """Three questions a scene: two choices and a number."""
    return synthetic_questions(tiny_scenes)
