"""Photos, folders, videos, datasets and stores as places."""

from __future__ import annotations

import shutil

import av
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from helpers.datasets import write_tum
from helpers.views import samples
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.lift.image_sets import ImageSetConfig, read_image_sets
from spatialsv.scenes.readers.sampling import Sampling
from spatialsv.scenes.store import write_groups


def places(*inputs, wanted=(), **settings):
    return list(read_image_sets(inputs, ImageSetConfig(**settings), wanted))


@pytest.fixture
def film(tmp_path):
    """Ten frames in two seconds, each of one grey."""
    path = tmp_path / "walk.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(10):
            pixels = np.full((32, 48, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    return path


def greys(place):
    return [round(float(np.asarray(picture).mean()) / 20) for picture in place.images]


def test_photos_are_one_place_in_the_order_given_each_in_its_own_shape(photos):
    [place] = places(*photos[::-1])
    assert place.id == "photos" and place.names == tuple(str(path) for path in photos[::-1])
    assert place.sizes == ((64, 48), (40, 70), (90, 50))
    assert [picture.size for picture in place.images] == list(place.sizes)
    assert place.truth is None


def test_large_pictures_are_made_smaller_and_their_size_is_kept(photos):
    [place] = places(photos[0], max_pixels=1125)
    assert place.sizes == ((90, 50),) and place.images[0].size == (45, 25)


def test_a_photo_is_turned_upright(tmp_path):
    pixels = np.zeros((40, 20, 3), dtype=np.uint8)
    pixels[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(pixels).save(tmp_path / "p.png", exif=exif)
    [place] = places(tmp_path / "p.png")
    assert place.sizes == ((40, 20),)
    shown = np.asarray(place.images[0])
    assert shown[:, :20].max() < 20 and shown[:, 20:].min() > 235


def test_a_folder_is_a_place_of_which_frames_are_taken_evenly(photos, tmp_path):
    for number in range(1, 12):
        shutil.copy(photos[0], tmp_path / f"{number}.png")
    shutil.copy(photos[1], tmp_path / "12.jpg")  # of another shape
    (tmp_path / "6.png").write_bytes(b"torn")
    [place] = places(tmp_path, frames=3)
    assert place.names == ("1.png", "12.jpg") and place.available == 12
    assert place.sizes == ((90, 50), (40, 70))
    assert len(place.skipped) == 1 and "6.png" in place.skipped[0]


def test_all_photos_of_a_folder_are_taken_and_eight_frames_of_a_video(photos, film, tmp_path):
    for number in range(12):
        shutil.copy(photos[0], tmp_path / f"photo{number}.png")
    film.rename(film.with_name("film.part"))  # else the folder has a video, too
    [place] = places(tmp_path)
    assert len(place.images) == 12 and place.available is None
    [place] = places(film.with_name("film.part").rename(film))
    assert len(place.images) == 8 and place.available == 10


def test_a_folder_of_folders_is_a_place_each(photos, tmp_path):
    for name in ("kitchen", "hall"):
        (tmp_path / name).mkdir()
        shutil.copy(photos[0], tmp_path / name)
    assert [place.id.split("/")[1] for place in places(tmp_path)] == ["hall", "kitchen"]


def test_a_video_is_sampled_as_ingest_samples_it(film):
    [place] = places(film, frames=4)
    assert greys(place) == [0, 3, 6, 9] and place.available == 10 and place.sizes == ((48, 32),) * 4
    clips = places(film, frames=3, sampling=Sampling(by="fps", fps=2.5))
    assert [greys(clip) for clip in clips] == [[0, 2, 4], [6, 8]]
    assert [clip.id for clip in clips] == ["walk.mp4/0000", "walk.mp4/0001"]


def test_a_store_and_its_manifest_give_scenes_with_truth(tmp_path, tiny_scenes):
    digest = write_groups(tmp_path / "s.zarr", [tiny_scenes])
    write_manifest(tmp_path / "s.json", Manifest(stage="scenes", payload={"s.zarr": digest}))
    for given in ("s.zarr", "s.json"):
        found = places(tmp_path / given, wanted=tiny_scenes.ids[1:3])
        assert [place.id for place in found] == list(tiny_scenes.ids[1:3])
        assert_array_equal(np.asarray(found[0].images[1]), tiny_scenes.image[1, 1])
        assert_array_equal(found[0].truth.depth, tiny_scenes.depth[1:2])
    assert len(places(tmp_path / "s.zarr")) == len(tiny_scenes)


def test_a_dataset_is_read_with_its_geometry(tmp_path):
    write_tum(tmp_path / "rgbd_dataset_freiburg1_made")
    [place] = places(tmp_path / "rgbd_dataset_freiburg1_made", frames=2)
    assert len(place.images) == 2
    assert place.truth.has_geometry and place.truth.shape[0] == 2


def test_photos_and_others_together_are_places_one_after_the_other(photos, film):
    found = places(photos[0], film, photos[1])
    assert [place.id for place in found] == ["photos", "walk.mp4"]
    assert len(found[0].images) == 2


@pytest.mark.parametrize("content", [b"", b"not a photo", b"\x89PNG\r\n\x1a\n torn"])
def test_an_unreadable_photo_is_named(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: cannot be read as an image"):
        places(tmp_path / "broken.png")


def test_what_is_not_there_is_named(photos, tmp_path, tiny_scenes):
    with pytest.raises(ValueError, match=r"absent\.png: no such photo"):
        places(photos[0], tmp_path / "absent.png")
    with pytest.raises(ValueError, match="nothing to lift"):
        places()
    write_groups(tmp_path / "s.zarr", [tiny_scenes])
    write_groups(tmp_path / "bare.zarr", [tiny_scenes.replace(image=None)])
    with pytest.raises(ValueError, match=r"bare\.zarr: scene .* has no images to lift"):
        places(tmp_path / "bare.zarr")
    with pytest.raises(ValueError, match=f"Known scenes: {tiny_scenes.ids[0]}, "):
        places(tmp_path / "s.zarr", wanted=["nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        places(tmp_path / "empty")
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"torn\.mp4: cannot be read as video"):
        places(tmp_path / "torn.mp4")


@pytest.mark.parametrize("setting", ["frames", "max_pixels"])
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting}: expected 1 or more, found 0"):
        ImageSetConfig(**{setting: 0})
    with pytest.raises(ValueError, match=r"unknown format 'nothing'\. Known formats: photos"):
        ImageSetConfig(format="nothing")


def test_real_samples_are_places():
    [place] = places(samples("photos"))
    assert place.sizes == ((1208, 680), (1208, 680))
    found = places(samples("7scenes") / "stairs", frames=2)
    assert [len(one.images) for one in found] == [2, 2, 2, 2]
    assert all(one.truth.has_geometry for one in found)
