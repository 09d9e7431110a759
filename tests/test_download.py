"""Downloads that break off or bring the wrong file; archives that are damaged or hostile."""

import contextlib
import errno
import hashlib
import io
import shutil
import socket
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unet_helpers.datasets import download
from unet_helpers.labels import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 100_000).astype(np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def url(file_server):
    file_server.files["/data.bin"] = CONTENT
    return f"{file_server.address}/data.bin"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new folder" / "data.bin"


@pytest.mark.parametrize("known", [(), (len(CONTENT), SHA256)])
def test_fetch_a_whole_file_once(url, target, file_server, known):
    for _ in range(2):
        assert download.fetch(url, target, *known) == target
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["data.bin"]
    assert len(file_server.requests) == 1


def test_a_file_with_another_checksum_is_fetched_again(url, target):
    target.parent.mkdir()
    target.write_bytes(b"half")
    assert download.fetch(url, target, len(CONTENT), SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_leaves_nothing_and_the_next_call_finishes(
    url, target, file_server, chunked
):
    file_server.cut, file_server.chunked = 40_000, chunked
    message = r"The download of http.* stopped: .*network connection .*run this again"
    with pytest.raises(DataError, match=message):
        download.fetch(url, target)
    assert names(target.parent) == []
    file_server.cut = None
    assert download.fetch(url, target).read_bytes() == CONTENT


def test_what_a_killed_process_left_is_not_used(url, target):
    target.parent.mkdir()
    target.with_name("part-data.bin").write_bytes(CONTENT[:70_000])
    assert download.fetch(url, target).read_bytes() == CONTENT
    assert names(target.parent) == ["data.bin"]


def test_no_connection_ends_in_a_sentence(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/data.bin"
    with pytest.raises(DataError, match=r"stopped: .*Check the network connection"):
        download.fetch(address, target)
    assert names(target.parent) == []


def test_a_silent_server_is_given_up(target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(DataError, match=r"stopped: .*timed out"):
            download.fetch(address, target, timeout=0.2)


def test_an_address_that_does_not_exist_is_reported(target, file_server):
    with pytest.raises(DataError, match=r"/gone stopped: 404 .*Not Found"):
        download.fetch(f"{file_server.address}/gone", target)


def test_a_wrong_file_is_deleted(url, target):
    with pytest.raises(DataError, match=r"data\.bin is not the expected file.*deleted"):
        download.fetch(url, target, len(CONTENT), "0" * 64)
    assert names(target.parent) == []


def full_disk(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_while_writing(url, target, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full_disk)
    with pytest.raises(DataError, match=r"No space left.*free space of .*new folder"):
        download.fetch(url, target)


def test_a_disk_that_is_too_small_is_noticed_before(url, target, monkeypatch, file_server):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=99_999))
    message = r"new folder has 99,999 bytes free and 100,000 are needed.*UNET_COURSE_DATA_DIR"
    with pytest.raises(DataError, match=message):
        download.fetch(url, target, len(CONTENT))
    assert not file_server.requests


# ---------------------------------------------------------------- unpacking


def make_archive(path, contents=None):
    """Write an archive with top/one.bin, top/deep/two.txt and other.txt, or with other contents."""
    contents = contents or {"top/one.bin": CONTENT, "top/deep/two.txt": b"two", "other.txt": b"o"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in contents.items():
                file.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as file:
            for name, data in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    return path


KINDS = pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])


@KINDS
def test_unpack_takes_one_folder_once(tmp_path, name):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half.txt").write_text("left by a killed process")
    folder = download.unpack(make_archive(tmp_path / name), tmp_path / "out", "top")
    assert names(folder) == ["deep", "one.bin"]
    assert (folder / "one.bin").read_bytes() == CONTENT
    assert (folder / "deep" / "two.txt").read_bytes() == b"two"
    assert names(tmp_path) == sorted([name, "out"])
    (folder / "mine.txt").write_text("mine")
    assert download.unpack(tmp_path / name, folder, "top") == folder
    assert (folder / "mine.txt").exists()


def overwritten(share):
    """Make a function that overwrites 200 bytes: early ones break the code, later the checksum."""

    def overwrite(data):
        place = int(share * len(data))
        return data[:place] + b"\xff" * 200 + data[place + 200 :]

    return overwrite


def with_password(data):
    """Set the bit that says so in both places of the zip; Python answers with a RuntimeError."""
    data = bytearray(data)
    for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(sign) + place] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.tar.gz", lambda data: data[: len(data) // 2]),
        ("a.tar.gz", lambda data: b"<html>404</html>"),
        ("a.tar.gz", overwritten(0.5)),
        ("a.zip", lambda data: data[: len(data) // 2]),
        ("a.zip", overwritten(0.5)),
        ("a.zip", lambda data: data.replace(b"two", b"Two", 1)),  # a wrong checksum
        ("a.zip", with_password),
    ],
)
def test_unpack_of_a_damaged_archive_says_so_and_leaves_nothing(tmp_path, name, damage):
    contents = {"top/one.bin": bytes(range(256)) * 4000, "top/two.txt": b"two"}
    archive = make_archive(tmp_path / name, contents)
    archive.write_bytes(damage(archive.read_bytes()))
    message = rf"{name} cannot be unpacked (?s:.*)delete it and run this again"
    with pytest.raises(DataError, match=message):
        download.unpack(archive, tmp_path / "out", "top")
    assert names(tmp_path) == [name]


@KINDS
def test_unpack_of_another_archive(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name} has no folder CamVid; is it another archive"):
        download.unpack(make_archive(tmp_path / name), tmp_path / "out", "CamVid")
    assert names(tmp_path) == [name]


@KINDS
def test_unpack_on_a_full_disk_keeps_the_archive(tmp_path, name, monkeypatch):
    archive = make_archive(tmp_path / name)
    monkeypatch.setattr(zipfile.ZipFile, "extract", full_disk)
    monkeypatch.setattr(tarfile.TarFile, "extract", full_disk)
    with pytest.raises(DataError, match=r"No space left on device\)\. Make space"):
        download.unpack(archive, tmp_path / "out", "top")
    assert names(tmp_path) == [name]


@KINDS
@pytest.mark.parametrize(
    "place", ["../escaped.txt", "top/../../escaped.txt", "/tmp/escaped.txt", "..\\escaped.txt"]
)
def test_unpack_does_not_write_outside_its_folder(tmp_path, name, place):
    """It is refused, or lands inside; zipfile drops what leads outside from the names."""
    archive = make_archive(tmp_path / name, {"top/one.txt": b"one", place: b"out"})
    folder = tmp_path / "deep" / "out"
    with contextlib.suppress(DataError):
        download.unpack(archive, folder, "top")
    assert set(tmp_path.rglob("*.txt")) == set(folder.rglob("*.txt"))
    assert set(names(tmp_path)) | set(names(folder.parent)) <= {name, "deep", "out"}
    assert not Path("/tmp/escaped.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_unpack_makes_no_links_out_of_its_folder_and_no_devices(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        entry = tarfile.TarInfo("top/link")
        entry.type, entry.linkname = kind, "../../../secret"
        file.addfile(entry)
    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked to"):
        download.unpack(tmp_path / "a.tar.gz", tmp_path / "out", "top")
    assert names(tmp_path) == ["a.tar.gz"]
