"""Videos against the program `ffmpeg`: which frames there are, when, how large and which way up."""

import itertools
import shutil
import struct
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from helpers.outside import save_video, trimmed
from spatialsv.scenes.readers.sampling import evenly_spaced
from spatialsv.scenes.readers.video import decode_frames, frame_times, read_frames

FFMPEG = shutil.which("ffmpeg")
ONE = 1 << 16
MATRICES = {
    f"{a:+d}{b:+d}{c:+d}{d:+d}": (a, b, c, d)
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if abs(a * d - b * c) == 1 and abs(a) + abs(b) == 1 and abs(c) + abs(d) == 1
}


def content(number, size=(64, 48)):
    """A frame that differs from its reflections, and from the next frame by 6 levels."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([2 * x, 3 * y, 0 * x + 40], -1) / np.array([*size, 1]) * [40, 40, 1]
    return (pixels + 6 * number).clip(0, 255).astype(np.uint8)


def encode(path, codec, pts=range(30), rate=10, sar=None, matrix=None, size=(64, 48), **options):
    """Write a video whose frame k has `content(k)` and is shown at `pts[k]` / `rate` seconds."""
    mux = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    pixels = options.pop("pix_fmt", "yuv420p")
    with av.open(path, "w", options=mux) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = Fraction(1, rate)
        if sar:
            stream.codec_context.sample_aspect_ratio = Fraction(sar)
        if matrix:
            a, b, c, d = (round(ONE * number) for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for number, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(content(number, size), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def without_packets(path, removed):
    """The packets of a video without some of them, copied to another file."""
    target = path.with_stem("cut")
    with av.open(path) as source, av.open(target, "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size and number not in removed:
                packet.stream = stream
                copy.mux(packet)
    return target


def by_ffmpeg(path):
    """Size, times and frames (N, H, W, 3) as ffmpeg puts them out."""
    command = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:v:0", "-enc_time_base", "-1"]
    command += ["-fps_mode", "passthrough"]
    listed = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, check=True)
    head, rows = {}, []
    for line in listed.stdout.decode().splitlines():
        if line.startswith("#"):
            name, _, value = line[1:].partition(": ")
            head[name] = value
        else:
            rows.append(int(line.split(",")[2]))
    size = tuple(int(side) for side in head["dimensions 0"].split("x"))
    raw = [*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    pixels = subprocess.run(raw, capture_output=True, check=True).stdout
    frames = np.frombuffer(pixels, np.uint8).reshape(-1, *size[::-1], 3)
    return size, [float(row * Fraction(head["tb 0"])) for row in rows], frames


def assert_as_ffmpeg(path):
    """Count, times, sizes and pixels of all frames, and of some, are those of ffmpeg."""
    size, times, frames = by_ffmpeg(path)
    np.testing.assert_allclose(frame_times(path), times, atol=1.1e-3)
    assert len(frames) == len(times)
    for count in (len(frames), 4):
        images, numbers = read_frames(path, count, None)
        assert numbers == evenly_spaced(len(frames), count)
        assert_alike(images, frames[numbers], size)
    assert_alike(decode_frames(path, range(len(frames))), frames, size)


def assert_alike(images, frames, size):
    for image, frame in zip(images, frames, strict=True):
        assert image.size == size
        assert np.abs(np.asarray(image, float) - frame).mean() < 1.5


def write(folder, name):
    """A video of each kind."""
    irregular = np.cumsum(1 + np.arange(30) ** 2 % 7).tolist()
    match name:
        case "mpeg4.mp4" | "mpeg4.avi" | "mpeg4.mkv":
            return encode(folder / name, "mpeg4")
        case "h264.mp4" | "h264.mov" | "h264.mkv":
            return encode(folder / name, "libx264", range(30))
        case "fragmented.mp4":
            return encode(folder / name, "libx264", movflags="frag_keyframe+empty_moov")
        case "trimmed.mp4":
            return trimmed(save_video(folder / "a.mp4", 20), 5)
        case "trimmed.mov":
            return trimmed(encode(folder / "a.mov", "libx264", g="12", bf="2"), 13)
        case "empty_chunks.avi":
            return encode(folder / name, "mpeg4", [k for k in range(30) if k not in (7, 8, 20)])
        case "variable.mp4" | "variable.mkv":
            return encode(folder / name, "libx264", irregular, rate=30)
        case "late.mkv" | "late.mp4":
            return encode(folder / name, "libx264", range(50, 80))
        case "hidden_frames.webm":
            lag = {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "60k"}
            return encode(folder / name, "libvpx", **lag)
        case "vp9.webm":
            return encode(folder / name, "libvpx-vp9", **{"auto-alt-ref": "1"})
        case "starts_late.mkv":
            return without_packets(encode(folder / "a.mkv", "libx264", g="10", bf="2"), range(3))
        case "odd.mkv":
            return encode(folder / name, "libx264", size=(63, 47), pix_fmt="yuv444p")
        case "grey.mkv":
            return encode(folder / name, "ffv1", pix_fmt="gray")
        case "deep.mkv":
            return encode(folder / name, "ffv1", pix_fmt="yuv420p10le")


@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(
    "name",
    [
        *("mpeg4.mp4", "mpeg4.avi", "mpeg4.mkv", "h264.mp4", "h264.mov", "h264.mkv"),
        *("fragmented.mp4", "trimmed.mp4", "trimmed.mov", "empty_chunks.avi"),
        *("variable.mp4", "variable.mkv", "late.mkv", "late.mp4", "hidden_frames.webm"),
        *("vp9.webm", "starts_late.mkv", "odd.mkv", "grey.mkv", "deep.mkv"),
    ],
)
def test_frames_are_those_of_ffmpeg(tmp_path, name):
    assert_as_ffmpeg(write(tmp_path, name))


@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_display_matrix_is_applied_as_by_ffmpeg(tmp_path, matrix):
    assert_as_ffmpeg(encode(tmp_path / "a.mp4", "libx264", range(4), matrix=MATRICES[matrix]))


def test_the_frames_of_trimmed_and_dropped_videos(tmp_path):
    """Known by construction, so that they hold without ffmpeg too."""
    clip = trimmed(encode(tmp_path / "a.mp4", "libx264", g="12", bf="2"), 12)
    images, numbers = read_frames(clip, 4, None)
    assert (len(frame_times(clip)), numbers) == (18, [0, 5, 11, 17])
    np.testing.assert_allclose(
        [np.asarray(image, float).mean() - content(12).mean() for image in images],
        [content(12 + number).mean() - content(12).mean() for number in numbers],
        atol=2,
    )
    dropped = encode(tmp_path / "b.avi", "mpeg4", [k for k in range(30) if k not in (7, 8, 20)])
    assert len(frame_times(dropped)) == len(read_frames(dropped, 27, None)[0]) == 27
    assert frame_times(dropped)[7] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("sar", "matrix", "size"),
    [("2/1", None, (128, 48)), ("1/2", None, (64, 96)), ("2/1", (0, 1, -1, 0), (48, 128))],
)
def test_pixels_become_square(tmp_path, sar, matrix, size):
    clip = encode(tmp_path / "a.mp4", "libx264", range(3), sar=sar, matrix=matrix)
    images, _ = read_frames(clip, 3, None)
    assert [image.size for image in images] == [size] * 3
    stored = Image.fromarray(content(2))
    shown = stored.transpose(Image.Transpose.ROTATE_270) if matrix else stored
    error = np.asarray(images[2], float) - np.asarray(shown.resize(size), float)
    assert np.abs(error).mean() < 2


def test_a_rotation_by_other_than_right_angles_is_refused(tmp_path):
    clip = encode(tmp_path / "a.mp4", "libx264", range(3), matrix=(0.8, 0.6, -0.6, 0.8))
    with pytest.raises(ValueError, match=r"a\.mp4: .* expected multiples of 90 degrees"):
        read_frames(clip, 3, None)


def test_transparent_pixels_of_a_video_show_the_background(tmp_path):
    with av.open(tmp_path / "a.mov", "w") as container:
        stream = container.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "argb"
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[:, 8:] = 0, 200, 0, 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode())
    (image,), _ = read_frames(tmp_path / "a.mov", 1, None)
    assert [image.getpixel((x, 3)) for x in (2, 12)] == [(255, 255, 255), (0, 200, 0)]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "mpeg4", {}),
        ("a.mp4", "libx264", {"movflags": "faststart"}),
        ("a.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mov", "libx264", {}),
        ("a.avi", "mpeg4", {}),
        ("a.mkv", "libx264", {}),
        ("a.webm", "libvpx", {}),
    ],
)
def test_a_truncated_video_is_an_error_that_names_it(tmp_path, name, codec, options):
    content = encode(tmp_path / name, codec, **options).read_bytes()
    lengths = {0, 1, 7, 30, *np.linspace(60, len(content) - 1, 12).astype(int)}
    if "frag" in options.get("movflags", ""):
        lengths -= {end for _, end in fragments(content)}  # as long as an earlier recording
    for length in sorted(lengths):
        (tmp_path / name).write_bytes(content[:length])
        for read in (frame_times, lambda path: read_frames(path, 4, None)):
            with pytest.raises(ValueError, match=rf"{name}: cannot be read as video"):
                read(tmp_path / name)


def fragments(content):
    """Frames so far and end in bytes of each fragment of an MP4 file."""
    frames = end = 0
    while end < len(content):
        kind = content[end + 4 : end + 8]
        if kind == b"moof":
            run = content.index(b"trun", end) + 8
            frames += int.from_bytes(content[run : run + 4], "big")
        end += int.from_bytes(content[end : end + 4], "big")
        if kind == b"mdat":
            yield frames, end


def test_a_fragmented_video_is_complete_only_at_the_end_of_a_fragment(tmp_path):
    options = {"movflags": "frag_keyframe+empty_moov", "g": "8"}
    content = encode(tmp_path / "a.mp4", "libx264", **options).read_bytes()
    ends = list(fragments(content))
    assert len(ends) > 2 and ends[-1][0] == 30
    for frames, end in ends:
        (tmp_path / "a.mp4").write_bytes(content[:end])
        assert len(frame_times(tmp_path / "a.mp4")) == frames
        following = end + int.from_bytes(content[end : end + 4], "big")  # moof, or the index
        for length in [*range(end - 7, end), *range(end + 1, end + 9), following - 1]:
            (tmp_path / "a.mp4").write_bytes(content[:length])
            with pytest.raises(ValueError, match="truncated"):
                frame_times(tmp_path / "a.mp4")
        if content[end + 4 : end + 8] == b"moof":
            (tmp_path / "a.mp4").write_bytes(content[:following])
            with pytest.raises(ValueError, match="truncated"):
                frame_times(tmp_path / "a.mp4")


@pytest.mark.parametrize("size", [(65_535, 65_535), (0, 48), (64, 0), (-64, 48), (2**31 - 1, 1)])
@pytest.mark.parametrize("codec", ["ffv1", "mpeg4", "mjpeg"])
def test_videos_of_impossible_size_are_refused_with_their_name(tmp_path, size, codec):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    content = encode(tmp_path / "a.avi", codec, range(2), pix_fmt=pixels).read_bytes()
    header = content.index(b"strf") + 12
    assert content[header : header + 8] == struct.pack("<ii", 64, 48)
    hostile = content[:header] + struct.pack("<ii", *size) + content[header + 8 :]
    (tmp_path / "a.avi").write_bytes(hostile)
    try:
        times, (images, _) = frame_times(tmp_path / "a.avi"), read_frames(tmp_path / "a.avi", 2, 9)
    except ValueError as error:
        assert "a.avi: cannot be read as video" in str(error)
    else:  # the decoder has sizes of its own
        assert codec in ("mpeg4", "mjpeg") and len(times) == len(images) == 2
