"""Image files of every mode, orientation and fault, as all stages read them."""

import io
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from spatialsv.scenes.images import LARGEST, image_size, read_image, read_integers, to_rgb
from spatialsv.scenes.readers.depth_png import read_depth

RAMP = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(4, 16)
COLOURS = np.random.default_rng(0).integers(60, 190, (4, 6, 3), dtype=np.uint8)
ALPHA = np.linspace(0, 255, 24).round().astype(np.uint8).reshape(4, 6)
BYTE_ORDERS = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2", "I": "=i4"}
GREY = COLOURS[..., 0]
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)


def png(size, bits, colour, row, key=None, pixels=True):
    """A PNG file of equal rows, from its bytes."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    transparent = b"" if key is None else chunk(b"tRNS", key)
    rows = chunk(b"IDAT", zlib.compress((b"\0" + row) * size[1])) if pixels else b""
    return b"\x89PNG\r\n\x1a\n" + header + transparent + rows + chunk(b"IEND", b"")


def with_alpha(mode):
    """COLOURS, or GREY, over ALPHA in a mode of 8 bits; "La" premultiplied."""
    if mode == "La":
        pair = np.stack([GREY * (ALPHA / 255), ALPHA], -1).round().astype(np.uint8)
        return Image.frombytes(mode, (6, 4), pair.tobytes())
    image = Image.fromarray(COLOURS if "RGB" in mode else GREY)
    image = image.convert("P").convert("PA") if mode == "PA" else image
    image.putalpha(Image.fromarray(ALPHA))
    return image.convert(mode)


def of_16_bits(mode):
    """GREY in a mode of 16 bits or more."""
    return Image.frombytes(
        mode, (6, 4), (257 * GREY.astype(int)).astype(BYTE_ORDERS[mode]).tobytes()
    )


TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
EXACT = ("RGB", "RGBX", "CMYK")
MADE = {
    "1": lambda: Image.fromarray(GREY > 127),
    "L": lambda: Image.fromarray(GREY),
    "P": lambda: Image.fromarray(GREY).convert("P"),
    "F": lambda: Image.fromarray(GREY.astype(np.float32)),
    **{mode: partial(of_16_bits, mode) for mode in BYTE_ORDERS},
    **{mode: partial(with_alpha, mode) for mode in TRANSPARENT},
    **{
        mode: partial(Image.fromarray(COLOURS).convert, mode)
        for mode in (*EXACT, "YCbCr", "HSV", "LAB")
    },
}


@pytest.mark.parametrize("mode", BYTE_ORDERS)
def test_grey_of_16_bits_is_divided_by_257(mode):
    image = Image.frombytes(mode, (16, 4), RAMP.astype(BYTE_ORDERS[mode]).tobytes())
    expected = np.repeat((RAMP / 257).round()[..., None], 3, axis=2)
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm"])
def test_grey_of_16_bits_in_files(tmp_path, name):
    Image.fromarray(RAMP).save(tmp_path / name)
    grey = np.asarray(read_image(tmp_path / name))[..., 1]
    np.testing.assert_array_equal(grey, (RAMP / 257).round())
    np.testing.assert_array_equal(read_integers(tmp_path / name), RAMP)
    expected = np.where(RAMP == 65535, 0, RAMP / 1000)
    np.testing.assert_allclose(read_depth(tmp_path / name, 1000.0), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", Image.MODES)
def test_every_mode_of_pillow_is_read_or_refused(mode):
    image = MADE[mode]()
    assert image.mode == mode
    if mode == "F":
        with pytest.raises(ValueError, match="floating-point values have no known range"):
            to_rgb(image)
        return
    found = np.asarray(to_rgb(image)).astype(float)
    if mode in ("1", "L", "P", *BYTE_ORDERS):
        np.testing.assert_allclose(found, 255 * (GREY_RGB > 127) if mode == "1" else GREY_RGB)
    elif mode in TRANSPARENT:
        shown = COLOURS if "RGB" in mode else GREY_RGB
        opacity = ALPHA[..., None] / 255
        np.testing.assert_allclose(found, shown * opacity + 255 * (1 - opacity), atol=2)
    else:
        np.testing.assert_allclose(found, COLOURS, atol=0 if mode in EXACT else 16)


@pytest.mark.parametrize(
    ("bits", "colour", "row", "key", "expected"),
    [
        (1, 0, b"\x40", b"\0\0", [255, 255]),
        (2, 0, b"\x60", b"\0\1", [255, 170]),  # levels 1, 2
        (4, 0, b"\x5a", b"\0\5", [255, 170]),  # levels 5, 10
        (8, 0, b"\x05\x0a", b"\0\5", [255, 10]),
        (16, 0, b"\x05\0\x0a\0", b"\5\0", [255, 10]),
        (8, 2, b"\1\2\3\6\6\6", b"\0\1\0\2\0\3", [255, 6]),
        (16, 4, b"\x80\0\0\0\x06\0\xff\xff", None, [255, 6]),
    ],
)
def test_a_transparent_colour_shows_the_background(bits, colour, row, key, expected):
    file = png((2, 1), bits, colour, row, key)
    np.testing.assert_array_equal(np.asarray(read_image(file))[0, :, 0], expected)


def test_hidden_colours_of_a_palette_do_not_show(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    found = np.asarray(read_image(tmp_path / "p.png"))[0].tolist()
    assert found == [[255, 255, 255], [0, 200, 0]]


def test_a_transparent_colour_of_three_times_16_bits_is_refused():
    with pytest.raises(ValueError, match=r"^a\.png: .* convert it to RGBA"):
        read_image(png((1, 1), 16, 2, b"\1\2\3\4\5\6", b"\1\2\3\4\5\6"), name="a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_pixels", [None, 200])
def test_images_are_upright_by_their_exif_tag(tmp_path, orientation, max_pixels):
    y, x = np.mgrid[:40, :60]
    stored = Image.fromarray(np.stack([4 * x, 6 * y, 0 * x], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    stored.save(tmp_path / "a.png", exif=exif)
    for name in ("a.jpg", "a.png"):
        image = read_image(tmp_path / name, max_pixels=max_pixels)
        shown = np.asarray(image.resize((2, 2), Image.Resampling.BOX), float)[..., :2]
        left, top = shown[:, 0].mean(0) - shown[:, 1].mean(0), shown[0].mean(0) - shown[1].mean(0)
        red = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom"}
        green = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right"}
        sides = {"left": left, "right": -left, "top": top, "bottom": -top}
        # values grow from column 0 to the right and from row 0 downwards in the stored image
        assert sides[red.get(orientation, "bottom")][0] < -20
        assert sides[green.get(orientation, "left")][1] < -20
        assert read_image(tmp_path / name, upright=False).size == (60, 40)


def test_a_reduced_jpeg_is_close_to_the_reduction_of_all_its_pixels(tmp_path):
    y, x = np.mgrid[:997, :1501]
    waves = 127 + 100 * np.sin(x / 60) * np.cos(y / 45)
    Image.fromarray(waves.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    small = read_image(tmp_path / "a.jpg", max_pixels=5000)
    full = read_image(tmp_path / "a.jpg").resize(small.size, Image.Resampling.BICUBIC)
    assert small.size == (86, 57)
    assert np.abs(np.asarray(small, float) - np.asarray(full, float)).max() <= 3


def test_size_is_checked_in_the_header_before_pixels_are_decoded(tmp_path):
    for size in ((LARGEST // 1000, 1001), (2**31 - 1, 2**31 - 1), (0, 5), (1, 300)):
        (tmp_path / "a.png").write_bytes(png(size, 1, 0, b"", pixels=False))
        with pytest.raises(ValueError, match=r"a\.png: cannot be read as an image"):
            read_image(tmp_path / "a.png", max_pixels=100)
        with pytest.raises(ValueError, match=r"a\.png: "):
            image_size(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif", "a.ppm"])
def test_a_truncated_image_is_an_error_that_names_it(tmp_path, name):
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    expected, content = np.asarray(read_image(tmp_path / name)), (tmp_path / name).read_bytes()
    for length in [*range(0, len(content) - 64, 97), *range(len(content) - 64, len(content))]:
        (tmp_path / name).write_bytes(content[:length])
        try:
            found = read_image(tmp_path / name)
        except ValueError as error:
            assert name in str(error)
        else:  # what is missing holds no pixels
            assert length > len(content) - 32
            np.testing.assert_array_equal(np.asarray(found), expected)


def test_other_files_are_named_in_errors(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    for name in ("loop.png", "folder.png", "empty.png"):
        with pytest.raises(ValueError, match=rf"{name}: cannot be read as an image"):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="row 3: cannot be read"):
        read_image(b"", name="row 3")
    large = Image.fromarray(np.full((1, 1), 70_000, np.int32))
    large.save(file := io.BytesIO(), "TIFF")
    with pytest.raises(ValueError, match="from 0 to 65535, found 70000 to 70000"):
        read_image(file.getvalue())
