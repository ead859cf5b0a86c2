"""Digests are computed once for each version of a file, in all processes."""

from __future__ import annotations

import os

import pytest

from spatialsv.io import digests
from spatialsv.io.digests import cached_digest, digest_input, digest_path


@pytest.fixture
def reads(monkeypatch):
    """The paths that were read."""
    found = []

    def read(path):
        found.append(path)
        return digest_path(path)

    monkeypatch.setattr(digests, "digest_path", read)
    return found


def test_a_version_is_read_once_even_by_several_processes(tmp_path, reads):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert cached_digest(path) == cached_digest(path) == digest_path(path)
    digests._digests.clear()  # as in another process
    assert cached_digest(path) == digest_path(path) and len(reads) == 1


@pytest.mark.parametrize("change", ["content", "size", "replaced"])
def test_another_version_is_read_again(tmp_path, change):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "x"
    path.write_bytes(b"abc")
    before = cached_digest(folder)
    stat = path.stat()
    if change == "replaced":
        (tmp_path / "new").write_bytes(b"abd")
        (tmp_path / "new").rename(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        path.write_bytes(b"abd" if change == "content" else b"abcd")
        time = stat.st_mtime_ns + (10**6 if change == "content" else 0)
        os.utime(path, ns=(stat.st_atime_ns, time))
    assert cached_digest(folder) == digest_path(folder) != before


def test_a_damaged_or_read_only_cache_does_no_harm(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    cached_digest(path)
    for record in digests.user_cache("digests").iterdir():
        record.write_text("[")
    digests._digests.clear()
    assert cached_digest(path) == digest_path(path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    digests._digests.clear()
    assert cached_digest(path) == digest_path(path)


def test_a_folder_of_inputs_counts_by_names_and_sizes_and_a_job_by_its_manifest(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"abc")
    before = digest_input(folder)
    (folder / "a.jpg").write_bytes(b"abd")
    assert digest_input(folder) == before
    (folder / "b.jpg").touch()
    assert digest_input(folder) != before
    (folder / "manifest.json").write_text("{}")
    assert digest_input(folder) == digest_path(folder / "manifest.json")
    assert digest_input(tmp_path / "missing") == ""
