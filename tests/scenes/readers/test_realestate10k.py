"""RealEstate10K's clips, worked by hand: times, normalised K, world-to-camera rows."""

import codecs
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from helpers.captured import assert_none_is_wrong, loaded, only, project
from helpers.outside import save_picture, save_video
from spatialsv.scenes.readers import realestate10k
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.formats import detect

CLIP = "0000cc6d8b108390"
URL = "https://www.youtube.com/watch?v=none"


def world_to_cam(number):
    turn = Rotation.random(rng=number).as_matrix()
    return np.column_stack([turn, np.random.default_rng(number).normal(size=3)])


def line(time, pose, camera=(0.8, 1.1, 0.52, 0.47)):
    numbers = [*camera, 0, 0, *np.ravel(pose)]
    return " ".join([str(time), *(f"{x:.9f}" for x in numbers)])


def write(root, times=(100, 200, 300, 400), ending=".png", name=CLIP):
    """A clip with its frames as pictures."""
    lines = [URL, *(line(time, world_to_cam(n)) for n, time in enumerate(times))]
    for number, time in enumerate(times):
        save_picture(root / name / f"{time}{ending}", (64, 48), number)
    (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def change_line(root, number, text):
    path = root / f"{CLIP}.txt"
    lines = path.read_text().split("\n")
    lines[number - 1] = text
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_points_fall_where_the_format_puts_them(tmp_path, ending):
    capture = only(realestate10k, write(tmp_path, ending=ending))
    assert (capture.id, capture.unit) == (CLIP, "relative")
    assert [frame.id for frame in capture.frames] == ["100", "200", "300", "400"]
    np.testing.assert_allclose([f.time for f in capture.frames], [1e-4, 2e-4, 3e-4, 4e-4])
    points = np.random.default_rng(5).normal(size=(20, 3))
    for number, frame in enumerate(capture.frames):
        pose = np.round(world_to_cam(number), 9)
        x, y, z = pose[:, :3] @ points.T + pose[:, 3:]
        expected = [64 * (0.8 * x / z + 0.52), 48 * (1.1 * y / z + 0.47), z]
        found = project(points, frame.intrinsics, frame.cam_to_world)
        np.testing.assert_allclose(found.T, expected, rtol=1e-6, atol=1e-6)
        assert frame.size == (64, 48)


def test_rows_are_put_in_order(tmp_path):
    whole, _, _ = loaded(realestate10k, write(tmp_path))
    path = tmp_path / f"{CLIP}.txt"
    url, *rows = path.read_text().split("\n")[:-1]
    path.write_text("\n".join([url, *rows[::-1]]) + "\n")
    found, reasons, _ = loaded(realestate10k, tmp_path)
    assert (list(found), reasons) == (list(whole), [])
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(" ", "\t").encode(),
        lambda text: text.replace(" ", ", ").encode(),
    ],
)
def test_text_of_other_tools_is_the_same_clip(tmp_path, change):
    whole, _, _ = loaded(realestate10k, write(tmp_path))
    path = tmp_path / f"{CLIP}.txt"
    path.write_bytes(change(path.read_text()))
    assert detect(tmp_path) == "realestate10k"
    found, reasons, refused = loaded(realestate10k, tmp_path)
    assert (list(found), reasons, refused) == (list(whole), [], [])
    assert_none_is_wrong(whole, found)


def test_frames_of_a_video_are_found_by_their_times(tmp_path):
    save_video(tmp_path / f"{CLIP}.mp4", 12)  # ten a second, frame k of grey 8 k
    times = (0, 300_000, 540_000, 800_001, 1_100_000, 1_500_000)
    lines = [URL, *(line(time, world_to_cam(n)) for n, time in enumerate(times))]
    (tmp_path / f"{CLIP}.txt").write_text("\n".join(lines) + "\n")
    views, reasons, _ = loaded(realestate10k, tmp_path)
    assert reasons == ["missing image"]  # of the time after its end
    greys = [image.mean() for image, *_ in views.values()]
    np.testing.assert_allclose(greys, [0, 24, 40, 64, 88], atol=4)
    assert [name.split(":")[1] for name in views] == [str(time) for time in times[:-1]]


def test_intrinsics_refer_to_square_pixels(tmp_path):
    with av.open(tmp_path / f"{CLIP}.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    (tmp_path / f"{CLIP}.txt").write_text(f"{URL}\n{line(0, world_to_cam(0))}\n")
    (frame,) = only(realestate10k, tmp_path).frames
    assert frame.size == (128, 48)
    expected = [[128 * 0.8, 0, 128 * 0.52], [0, 48 * 1.1, 48 * 0.47], [0, 0, 1]]
    np.testing.assert_allclose(frame.intrinsics, expected)
    ((image, *_),) = loaded(realestate10k, tmp_path)[0].values()
    assert image.shape == (48, 128, 3)


def test_a_broken_video_or_none_is_refused(tmp_path):
    write(tmp_path)
    for path in (tmp_path / CLIP).iterdir():
        path.unlink()
    with pytest.raises(CaptureError, match="none of the clip's 4 frames"):
        only(realestate10k, tmp_path)
    (tmp_path / CLIP).rmdir()
    with pytest.raises(
        CaptureError, match=rf"{CLIP}\.txt: no frames: expected a directory .* or a video"
    ):
        only(realestate10k, tmp_path)
    video = save_video(tmp_path / f"{CLIP}.mp4", 12)
    video.write_bytes(video.read_bytes()[:200])
    with pytest.raises(CaptureError, match=rf"{CLIP}\.mp4: "):
        only(realestate10k, tmp_path)


def test_missing_broken_and_odd_pictures_are_counted(tmp_path):
    write(tmp_path, (100, 200, 300, 400, 500))
    whole, _, _ = loaded(realestate10k, tmp_path)
    (tmp_path / CLIP / "100.png").unlink()
    (tmp_path / CLIP / "200.png").write_bytes(b"")
    picture = tmp_path / CLIP / "300.png"
    picture.write_bytes(picture.read_bytes()[:200])
    save_picture(tmp_path / CLIP / "400.png", (48, 64), 0)
    found, reasons, _ = loaded(realestate10k, tmp_path)
    assert sorted(reasons) == ["missing image", *["unreadable image"] * 2, "wrong size"]
    assert len(found) == 1
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "1 numbers|not enough values"),
        ("100 0.8", ":3: expected 18 numbers, found 1"),
        (line(200, world_to_cam(1)) + " 1", ":3: expected 18 numbers, found 19"),
        (line("2.5", world_to_cam(1)), ":3: invalid literal"),
        (line(200, world_to_cam(1)).replace("0.8", "x"), ":3: could not convert"),
        (line(200, world_to_cam(1), (0, 1, 0.5, 0.5)), ":3: invalid fx fy cx cy"),
        (line(200, world_to_cam(1), (np.nan, 1, 0.5, 0.5)), ":3: invalid fx fy cx cy"),
        (line(200, world_to_cam(1)).replace(" 0.000000000", " 0.1", 1), ":3: .* two zeros"),
    ],
)
def test_a_broken_line_refuses_the_clip_with_its_number(tmp_path, text, match):
    write(tmp_path)
    change_line(tmp_path, 3, text)
    if not text:  # an empty line is none
        assert len(only(realestate10k, tmp_path).frames) == 3
        return
    with pytest.raises(CaptureError, match=rf"{CLIP}\.txt{match}"):
        only(realestate10k, tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(200, np.full((3, 4), np.inf)), "pose not finite"),
        (line(200, np.full((3, 4), np.nan)), "pose not finite"),
        (line(200, 2 * np.eye(4)[:3]), "pose not rigid"),
        (line(200, np.zeros((3, 4))), "pose not rigid"),
        (line(200, np.diag([1.0, 1, -1, 0])[:3]), "pose not rigid"),
        (line(100, world_to_cam(1)), "duplicate frame"),
        (line(-5, world_to_cam(1)), "missing image"),
        (line(10**30, world_to_cam(1)), "missing image"),
    ],
)
def test_a_bad_frame_is_skipped_with_its_reason(tmp_path, text, reason):
    whole, _, _ = loaded(realestate10k, write(tmp_path))
    change_line(tmp_path, 3, text)
    found, reasons, refused = loaded(realestate10k, tmp_path)
    assert (reasons, refused, len(found)) == ([reason], [], 3)
    assert_none_is_wrong(whole, found)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = write(tmp_path_factory.mktemp("realestate10k"))
    return root, loaded(realestate10k, root)[0]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_truncated_clip_is_refused_or_shorter(made, data):
    root, whole = made
    path = root / f"{CLIP}.txt"
    intact = path.read_bytes()
    path.write_bytes(intact[: data.draw(st.integers(len(URL), len(intact) - 1))])
    try:
        found, reasons, refused = loaded(realestate10k, root)
    finally:
        path.write_bytes(intact)
    assert not reasons
    if refused:
        assert not found and f"{CLIP}.txt:" in refused[0]
    assert_none_is_wrong(whole, found)


def test_what_is_detected(tmp_path):
    write(tmp_path / "test")
    for named in (tmp_path, tmp_path / "test", tmp_path / f"test/{CLIP}.txt"):
        assert detect(named) == "realestate10k"
    write(tmp_path, name="mine")
    assert realestate10k.scenes(tmp_path / "mine.txt") == [tmp_path / "mine.txt"]
    (tmp_path / "notes.txt").write_text("100 200\n")
    assert realestate10k.scenes(tmp_path / "notes.txt") == []
    (tmp_path / f"test/{CLIP}.txt").write_text("\n")
    assert realestate10k.scenes(tmp_path) == []
