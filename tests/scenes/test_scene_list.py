"""Scenes one at a time, from groups in memory and in a store."""

import gc
import weakref

import numpy as np
import pytest

from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import SceneList, by_id, select_labels
from spatialsv.scenes.store import open_store, write_groups


@pytest.fixture
def groups(tiny_scenes) -> list[Scenes]:
    return [tiny_scenes.select(slice(0, 2)), tiny_scenes.select([5, 3, 4])]


def test_rows_count_through_all_groups(groups, tiny_scenes):
    each = SceneList(groups)
    assert len(each) == 5
    assert each.ids == [tiny_scenes.ids[row] for row in (0, 1, 5, 3, 4)]
    assert [one.ids[0] for one in each] == each.ids
    np.testing.assert_array_equal(each[2].depth, tiny_scenes.depth[5:6])
    assert each[-1].ids == (tiny_scenes.ids[4],)
    assert each.group(2) is groups[1]
    with pytest.raises(IndexError):
        each[5]


def test_a_stack_and_what_is_single_already_are_taken_too(tiny_scenes):
    assert SceneList(tiny_scenes).ids == list(tiny_scenes.ids)
    assert SceneList(SceneList(tiny_scenes)[1:]).ids == list(tiny_scenes.ids[1:])
    assert not SceneList([])


def test_some_keep_their_order_and_their_groups(groups):
    each = SceneList(groups)
    some = each.only({each.ids[4], each.ids[1]})
    assert some.ids == [each.ids[1], each.ids[4]]
    assert some.group(1) is groups[1]
    assert each[1::2].only({each.ids[3]}).ids == [each.ids[3]]


def test_a_scene_is_found_by_its_id(groups):
    places = by_id(groups)
    assert set(places) == set(SceneList(groups).ids) and len(places) == 5
    wanted = groups[1].ids[1]
    np.testing.assert_array_equal(places[wanted].depth, groups[1].depth[1:2])
    assert "nowhere" not in places
    found = select_labels([wanted, groups[0].ids[0]], places)
    assert [one.ids[0] for one in found] == [wanted, groups[0].ids[0]]
    with pytest.raises(ValueError, match=r"1 of 2 scenes have no labels by .*, such as 'nowhere'"):
        select_labels([wanted, "nowhere"], places)


def test_accessed_scenes_are_not_kept_in_memory(groups, tmp_path):
    write_groups(tmp_path / "scenes.zarr", groups[:1])
    scenes = SceneList(open_store(tmp_path / "scenes.zarr"))
    assert scenes[0].load().depth.any()
    accessed = weakref.ref(scenes[0])
    gc.collect()
    assert accessed() is None
