"""A benchmark's images: image files, cells of a table, or views in a store of scenes.

Names below the benchmark's folder: `FILE`, `FILE.tsv#ROW`, `FILE.json#ROW/COLUMN`,
`FILE.parquet#ROW/COLUMN`, or `STORE.zarr#SCENE/VIEW`. A TSV (VLMEvalKit's) and JSON hold images as
base64, Parquet as bytes. A row of such a TSV may hold the index of another row instead, whose image
it shares.
"""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.files import arrow_errors, read_rows
from spatialsv.io.fields import Fields
from spatialsv.io.paths import path_inside
from spatialsv.io.text import iterate_table
from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.store import load_groups

LONGEST_INDEX = 64  # characters; VLMEvalKit treats what is no longer than this as an index


def file_of(data: Path, name: str) -> Path:
    """Return the file or store that the image `name` is in."""
    return data / name.partition("#")[0]


def check_media(items: Iterable[Item], data: Path, linked: Collection[str] = ()) -> None:
    """Check that all images and videos exist, in `data` or where links to `linked` folders lead.

    Raises:
        ValueError: a file is missing, or a link leads elsewhere.
    """
    names = list(dict.fromkeys(name for item in items for name in item.media))
    if missing := [name for name in names if not file_of(data, name).exists()]:
        raise ValueError(
            f"{data}: {len(missing)} of {len(names)} images or videos are missing, such as"
            f" {missing[0]}."
        )
    for file in {name.partition("#")[0] for name in names}:
        if not file.endswith(".zarr"):  # a store belongs to a manifest
            path_inside(data, file, linked)


def read_images(data: Path, name: str, max_pixels: int | None = None) -> list[Image.Image]:
    """Read the images that `name` refers to, upright and in RGB.

    Args:
        data: the benchmark's folder.
        name: one of an item's `images`.
        max_pixels: larger images are reduced to this number of pixels; None keeps the size.

    Returns:
        One image of a file, a TSV's row or a store; any number of a Parquet cell.

    Raises:
        ValueError: the file or cell is missing, holds no images, or Pillow cannot read one.
    """
    path, (_, _, cell) = file_of(data, name), name.partition("#")
    if path.suffix == ".zarr":
        scene, _, view = cell.rpartition("/")
        return [limit_pixels(Image.fromarray(_store_images(path)[scene][int(view)]), max_pixels)]
    return [
        read_image(image, max_pixels=max_pixels, name=str(data / name))
        for image in read_encoded(data, name)
    ]


def read_encoded(data: Path, name: str) -> list[bytes]:
    """Read the encoded images that `name` refers to.

    Args:
        data: the benchmark's folder.
        name: as for `read_images`, but not in a store.

    Returns:
        The content of the image files.

    Raises:
        ValueError: the file or cell is missing, or it holds no images.
    """
    path, (_, _, cell) = file_of(data, name), name.partition("#")
    row, _, column = cell.partition("/")
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    if not cell:
        return [path.read_bytes()]
    if path.suffix in (".tsv", ".json"):
        text = _json_cell(path, row, column) if column else _tsv_row(path, int(row))["image"]
        try:
            return [base64.b64decode(text)]
        except ValueError as error:
            raise ValueError(f"{data / name}: expected an image in base64 ({error}).") from None
    return _encoded_images(_parquet_cell(path, int(row), column or "image"), f"{data}: {name}")


def cell_name(data: Path, path: Path, row: int, column: str) -> str:
    """Return the name, for `Item.images`, of a cell of a Parquet or JSON file below `data`."""
    return f"{path.relative_to(data).as_posix()}#{row}/{column}"


def read_tsv_rows(data: Path, path: Path) -> list[Fields]:
    """Read the rows of a VLMEvalKit TSV below `data`, each `image` replaced by its name.

    Args:
        data: the benchmark's folder.
        path: the TSV.

    Returns:
        The rows.

    Raises:
        ValueError: a row has no image, or shares that of a row that has none.
    """
    rows: list[tuple[Fields, int | None]] = []  # with the number of the row that has its image
    row_of_index: dict[str, int] = {}
    for number, (line, values) in enumerate(iterate_table(path, "\t")):
        row, has_image = Fields(values, f"{path}:{line}"), False
        if len(row.get("image")) > LONGEST_INDEX:
            row_of_index[row.label("index")], has_image = number, True
            values["image"] = ""  # of megabytes
        rows.append((row, number if has_image else None))
    named = []
    for row, own in rows:
        source = row_of_index.get(row.get("image")) if own is None else own
        if source is None:
            raise row.expected("image", "an image in base64 or the index of a row with one")
        image = f"{path.relative_to(data)}#{source}"
        named.append(Fields({**row.values, "image": image}, row.where))
    return named


@lru_cache(maxsize=1)
def _store_images(path: Path) -> Mapping[str, np.ndarray]:
    """Return the images of each scene of a store, (N, H, W, 3)."""
    groups = load_groups(path, ["image"])
    return {
        name: views for group in groups for name, views in zip(group.ids, group.image, strict=True)
    }


def _encoded_images(value: Any, where: str) -> list[bytes]:
    """Return the bytes in a cell: bytes, a struct with a field `bytes`, or a list of such."""
    if value is None:
        return []
    if isinstance(value, list):
        return [image for part in value for image in _encoded_images(part, where)]
    encoded = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(encoded, bytes):
        raise ValueError(f"{where}: expected encoded images, found {type(value).__name__}.")
    return [encoded]


def _tsv_row(path: Path, number: int) -> Mapping[str, str]:
    names, offsets = _tsv_offsets(path)
    if number >= len(offsets):
        raise ValueError(f"{path}: no row {number}.")
    with path.open("rb") as file:
        file.seek(offsets[number])
        record = next(csv.reader(_decoded_lines(file), delimiter="\t"))
    return dict(zip(names, record, strict=False))


@lru_cache(maxsize=2)
def _tsv_offsets(path: Path) -> tuple[list[str], list[int]]:
    """Return a TSV's header, and the byte at which each record starts."""
    csv.field_size_limit(sys.maxsize)
    offsets: list[int] = []
    with path.open("rb") as file:
        reader = csv.reader(_decoded_lines(file), delimiter="\t")  # reads no line ahead
        names = next(reader)
        while True:
            offset = file.tell()
            row = next(reader, None)
            if row is None:
                return names, offsets
            if row:  # as in `iterate_table`
                offsets.append(offset)


def _decoded_lines(file: Any) -> Iterator[str]:
    while line := file.readline():
        yield line.decode("utf-8-sig")


def _json_cell(path: Path, row: str, column: str) -> str:
    rows = _json_rows(path)
    if int(row) >= len(rows):
        raise ValueError(f"{path}: no row {row}.")
    return rows[int(row)].text(column)


@lru_cache(maxsize=1)  # it holds all images
def _json_rows(path: Path) -> list[Fields]:
    return read_rows(path)


def _parquet_cell(path: Path, number: int, column: str) -> Any:
    import pyarrow.parquet as parquet

    with arrow_errors(path, "Parquet"):
        file, first = parquet.ParquetFile(path), 0
        for group in range(file.num_row_groups if column in file.schema_arrow.names else 0):
            count = file.metadata.row_group(group).num_rows
            if number < first + count:
                return _parquet_column(path, group, column)[number - first].as_py()
            first += count
    raise ValueError(f"{path}: no cell {column} of row {number}.")


@lru_cache(maxsize=4)  # an item of BLINK has four image columns
def _parquet_column(path: Path, group: int, column: str) -> Any:
    import pyarrow.parquet as parquet

    table = parquet.ParquetFile(path).read_row_group(group, columns=[column])
    table.validate(full=True)
    return table[column]
