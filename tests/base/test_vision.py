"""What the encoder learns first: patches as the processor cuts them, and what covers each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatialsv.base.architecture import ArchitectureConfig, build_image_processor, build_model
from spatialsv.base.corpus import patchify, rooms_of
from spatialsv.base.vision import (
    KINDS,
    SURFACES,
    CellReader,
    cell_classes,
    find_surfaces,
    rescale_merger,
)
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.parts import COLOURS
from spatialsv.rooms.views import render_views

ROOMS, SCENES = render_views(range(3), RoomsConfig(samples=1))
CONFIG = ArchitectureConfig(width=32, layers=2, heads=2, mlp=48, vision_width=32, vision_layers=1)


def test_patches_are_those_of_the_image_processor() -> None:
    processor = build_image_processor(CONFIG)
    images = SCENES.image[0]
    expected = processor(images=list(images), return_tensors="pt")
    values, grid = patchify(images, processor)
    torch.testing.assert_close(values, expected["pixel_values"], atol=1e-6, rtol=0)
    assert torch.equal(grid, expected["image_grid_thw"])


def test_stale_scenes_are_refused() -> None:
    assert [room.id for room in rooms_of(SCENES, RoomsConfig())] == list(SCENES.ids)
    moved = SCENES.replace(cam_to_world=SCENES.cam_to_world + 0.01)
    with pytest.raises(ValueError, match=r"rooms-00000000: .* delete it"):
        rooms_of(moved, RoomsConfig())


def test_cell_classes_name_what_covers_a_cell() -> None:
    classes = cell_classes(ROOMS, SCENES, token=16, cell=4)
    assert classes.shape == (3, 4, 256, 2)
    room, instance = ROOMS[1], SCENES.instance[1, 2]
    things = 0
    for place in range(256):
        token, within = divmod(place, 16)
        row, column = 4 * (token // 4) + within // 4, 4 * (token % 4) + within % 4
        block = instance[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        counts = np.bincount(block.ravel(), minlength=len(room.objects) + 1)[1:]
        kind, colour = classes[1, 2, place].tolist()
        if counts.max() < 2:
            assert KINDS[kind] in SURFACES and colour == 0
            continue
        things += 1
        thing = room.objects[counts.argmax()]
        assert KINDS[kind] == thing.category and list(COLOURS)[colour - 1] == thing.colour
    assert 10 < things < 246


def test_surfaces_lie_where_a_level_camera_sees_them() -> None:
    kinds = find_surfaces(ROOMS, SCENES)
    bare = SCENES.instance == 0
    row = np.broadcast_to(np.arange(64)[:, None], kinds.shape)
    wall, floor, ceiling = (row[bare & (kinds == kind)] for kind in range(3))
    assert wall.mean() < floor.mean() and len(wall) > 0.1 * bare.sum() < len(floor)
    assert not len(ceiling) or ceiling.max() < floor.min()


def test_tokens_settle_to_the_size_of_words() -> None:
    model = build_model(CONFIG, seed=0)
    pixels, grid = patchify(SCENES.image[0], build_image_processor(CONFIG))
    tokens = model.model.visual(pixels, grid_thw=grid).pooler_output
    rescale_merger(model.model.visual.merger, tokens, 0.7)
    settled = model.model.visual(pixels, grid_thw=grid).pooler_output
    torch.testing.assert_close(settled, tokens * (0.7 / tokens.norm(dim=-1).mean()))


def test_the_reader_learns_classes_from_the_encoder() -> None:
    model = build_model(CONFIG, seed=0)
    pixels, grid = patchify(SCENES.image[0], build_image_processor(CONFIG))
    classes = torch.from_numpy(cell_classes(ROOMS, SCENES, 16, 4)[0]).reshape(-1, 2)
    reader = CellReader(CONFIG.width, 16)
    optimiser = torch.optim.Adam([*model.model.visual.parameters(), *reader.parameters()], lr=1e-2)
    losses = []
    for _ in range(40):
        told = reader.loss(model.model.visual(pixels, grid_thw=grid).pooler_output, classes)
        optimiser.zero_grad()
        told["total"].backward()
        optimiser.step()
        losses.append(told["total"].item())
    assert losses[-1] < 0.3 * losses[0]
    assert min(told["category"], told["colour"]) > 0.8
