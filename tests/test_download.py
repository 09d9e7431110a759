"""Downloads that break off, resume, or bring the wrong file; archives that are damaged."""

import errno
import hashlib
import io
import shutil
import socket
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from unet_helpers import files
from unet_helpers.datasets import download
from unet_helpers.labels import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 100_000).astype(np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(file_server):
    file_server.files["/data.bin"] = CONTENT
    return f"{file_server.address}/data.bin"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new folder" / "data.bin"


@pytest.fixture
def part(target):
    """The file beside the target that holds what has arrived."""
    target.parent.mkdir()
    return target.with_name("data.bin.part")


def test_fetch_a_whole_file(url, target):
    assert download.fetch(url, target, len(CONTENT), SHA256) == target
    assert target.read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == ["data.bin"]


def test_fetch_without_knowing_size_and_checksum(url, target):
    assert download.fetch(url, target).read_bytes() == CONTENT


def test_a_complete_file_is_not_fetched_again(url, target, file_server):
    for _ in range(2):
        download.fetch(url, target, len(CONTENT), SHA256)
    assert len(file_server.requests) == 1


def test_a_file_of_another_size_is_fetched_again(url, target):
    target.parent.mkdir()
    target.write_bytes(b"half")
    assert download.fetch(url, target, len(CONTENT)).read_bytes() == CONTENT


def test_fetch_resumes_and_asks_only_for_the_rest(url, target, part, file_server):
    part.write_bytes(CONTENT[:70_000])
    download.fetch(url, target, len(CONTENT), SHA256)
    assert target.read_bytes() == CONTENT
    assert file_server.requests == [("/data.bin", "bytes=70000-")]
    assert file_server.sent == 30_000
    assert not part.exists()


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_fetch_starts_again_at_a_server_without_ranges(url, target, part, file_server, size):
    file_server.ranges = False
    part.write_bytes(CONTENT[:70_000])
    assert download.fetch(url, target, size).read_bytes() == CONTENT
    assert file_server.sent == len(CONTENT)


def test_a_part_that_is_complete_already_needs_no_connection(target, part, file_server):
    part.write_bytes(CONTENT)
    download.fetch(f"{file_server.address}/gone", target, len(CONTENT), SHA256)
    assert target.read_bytes() == CONTENT
    assert not file_server.requests


def test_a_complete_part_of_unknown_size_is_no_dead_end(url, target, part, file_server):
    """The server answers 416 to a range behind the end; a killed run can leave that state."""
    part.write_bytes(CONTENT)
    assert download.fetch(url, target).read_bytes() == CONTENT


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_keeps_what_arrived_and_the_next_call_finishes(
    url, target, file_server, chunked
):
    file_server.cut, file_server.chunked = 40_000, chunked
    with pytest.raises(DataError, match=r"The download of http.* stopped.*run this again"):
        download.fetch(url, target)
    assert not target.exists()
    kept = target.with_name("data.bin.part").stat().st_size
    assert kept == 40_000 or chunked
    file_server.cut = None
    assert download.fetch(url, target).read_bytes() == CONTENT


def test_a_cut_connection_says_how_much_is_kept(url, target, file_server):
    file_server.cut = 40_000
    with pytest.raises(DataError, match=r"60,000 bytes did not arrive.*40,000 bytes are kept"):
        download.fetch(url, target, len(CONTENT), SHA256)


def test_no_connection_keeps_the_part_and_names_the_cure(target, part, file_server):
    part.write_bytes(CONTENT[:50])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/data.bin"
    with pytest.raises(DataError, match=r"network connection\? 50 bytes are kept; run this again"):
        download.fetch(address, target, len(CONTENT))
    assert part.read_bytes() == CONTENT[:50]
    assert not target.exists()


def test_a_silent_server_is_given_up(target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(DataError, match=r"stopped: .*timed out"):
            download.fetch(address, target, timeout=0.2)


def test_an_address_that_does_not_exist_is_reported(target, file_server):
    with pytest.raises(DataError, match=r"/gone stopped: Not Found"):
        download.fetch(f"{file_server.address}/gone", target)


@pytest.mark.parametrize(("size", "sha256"), [(len(CONTENT), "0" * 64), (99_999, None)])
def test_a_wrong_file_is_deleted(url, target, size, sha256):
    with pytest.raises(DataError, match=r"data\.bin is not the expected file .*deleted"):
        download.fetch(url, target, size, sha256)
    assert not list(target.parent.iterdir())


def test_a_file_that_ends_too_early_is_kept(url, target):
    with pytest.raises(DataError, match=r"ended after 100,000 of 100,001 bytes\. They are kept"):
        download.fetch(url, target, len(CONTENT) + 1)
    assert target.with_name("data.bin.part").read_bytes() == CONTENT


def full_disk(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_while_writing(url, target, monkeypatch):
    monkeypatch.setattr(download, "receive", full_disk)
    with pytest.raises(DataError, match=r"data\.bin\.part .*No space left.*UNET_COURSE_DATA_DIR"):
        download.fetch(url, target)


def test_a_disk_that_is_too_small_is_noticed_before(url, target, monkeypatch, file_server):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=99_999))
    message = r"new folder has 0\.0 GB free and 0\.0 GB are needed.*UNET_COURSE_DATA_DIR"
    with pytest.raises(DataError, match=message):
        download.fetch(url, target, len(CONTENT))
    assert not file_server.requests


def test_check_space_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000_000))
    files.check_space(tmp_path, 2_000_000_000)
    with pytest.raises(DataError, match=r"2\.0 GB free and 3\.5 GB are needed"):
        files.check_space(tmp_path, 3_500_000_000)


def test_checksum(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.checksum(tmp_path / "abc") == expected


# ---------------------------------------------------------------- unpacking


def make_archive(path, content=CONTENT):
    """Write an archive with top/one.bin, top/deep/two.txt and other.txt."""
    files = {"top/one.bin": content, "top/deep/two.txt": b"two", "other.txt": b"other"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in files.items():
                file.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as file:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    return path


KINDS = pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])


@KINDS
def test_unpack_everything(tmp_path, name):
    folder = download.unpack(make_archive(tmp_path / name), tmp_path / "out")
    assert folder == tmp_path / "out"
    assert (folder / "top" / "one.bin").read_bytes() == CONTENT
    assert (folder / "other.txt").read_bytes() == b"other"


@KINDS
def test_unpack_one_folder_of_the_archive(tmp_path, name):
    folder = download.unpack(make_archive(tmp_path / name), tmp_path / "out", inside="top")
    assert (folder / "deep" / "two.txt").read_bytes() == b"two"
    assert sorted(file.name for file in folder.iterdir()) == ["deep", "one.bin"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "out"])


@KINDS
def test_unpack_leaves_an_existing_folder_alone(tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    download.unpack(make_archive(tmp_path / name), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


@KINDS
def test_unpack_replaces_what_a_killed_run_left(tmp_path, name):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half.txt").write_text("half")
    folder = download.unpack(make_archive(tmp_path / name), tmp_path / "out")
    assert sorted(file.name for file in folder.iterdir()) == ["other.txt", "top"]
    assert not (tmp_path / "out.part").exists()


def cut_off(data):
    return data[: len(data) // 2]


def overwritten(data):
    middle = len(data) // 2
    return data[:middle] + b"\xff" * 2000 + data[middle + 2000 :]


def with_wrong_checksum(data):
    return data.replace(b"otherPK", b"OtherPK")


def not_an_archive(data):
    return b"<html>404</html>"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.tar.gz", cut_off),
        ("a.tar.gz", not_an_archive),
        ("a.zip", cut_off),
        ("a.zip", not_an_archive),
        ("a.zip", overwritten),
        ("a.zip", with_wrong_checksum),
    ],
)
def test_unpack_of_a_damaged_archive_says_so_and_leaves_nothing(tmp_path, name, damage):
    archive = make_archive(tmp_path / name)
    archive.write_bytes(damage(archive.read_bytes()))
    message = rf"{name} cannot be unpacked (?s:.*)Delete it and run this again"
    with pytest.raises(DataError, match=message):
        download.unpack(archive, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("place", [0.1, 0.5])
def test_unpack_of_a_damaged_gzip_stream(tmp_path, place):
    """The first place breaks the code of the stream, the second only its checksum."""
    archive = make_archive(tmp_path / "a.tar.gz", bytes(range(256)) * 4000)
    data = bytearray(archive.read_bytes())
    start = int(place * len(data))
    data[start : start + 200] = b"\xff" * 200
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked .*Delete it"):
        download.unpack(archive, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar.gz"]


@KINDS
def test_unpack_of_another_archive(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name} has no folder CamVid; is it another archive"):
        download.unpack(make_archive(tmp_path / name), tmp_path / "out", inside="CamVid")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@KINDS
def test_unpack_on_a_full_disk_keeps_the_archive(tmp_path, name, monkeypatch):
    archive = make_archive(tmp_path / name)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", full_disk)
    monkeypatch.setattr(tarfile.TarFile, "extract", full_disk)
    with pytest.raises(DataError, match=r"No space left on device\. Make space .*is kept"):
        download.unpack(archive, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@KINDS
@pytest.mark.parametrize(
    "place", ["../escaped.txt", "top/../../escaped.txt", "/tmp/escaped.txt", "..\\escaped.txt"]
)
def test_unpack_does_not_write_outside_its_folder(tmp_path, name, place):
    archive = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(place, "out")
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.addfile(tarfile.TarInfo(place), io.BytesIO())
    with pytest.raises(DataError, match=r"cannot be unpacked: it wants to write outside"):
        download.unpack(archive, tmp_path / "deep" / "out")
    assert sorted(file.name for file in tmp_path.rglob("*")) == [name, "deep"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_unpack_makes_no_links_out_of_its_folder_and_no_devices(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = kind, "../../secret"
        file.addfile(entry)
    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked \("):
        download.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar.gz"]


@KINDS
def test_unpack_stops_an_archive_that_grows_without_measure(tmp_path, name, monkeypatch):
    archive = make_archive(tmp_path / name, bytes(30_000))
    with monkeypatch.context() as patch:
        patch.setattr(download, "MOST_BYTES", 10_000)
        patch.setattr(download, "MOST_TIMES", 0.5)
        with pytest.raises(DataError, match=r"it wants to make more than [0-9]+,[0-9]+"):
            download.unpack(archive, tmp_path / "out")
    monkeypatch.setattr(download, "MOST_ENTRIES", 2)
    with pytest.raises(DataError, match=r"or more than 2 files"):
        download.unpack(archive, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_unpack_of_a_zip_with_a_password(tmp_path):
    """Python says that with a RuntimeError."""
    archive = make_archive(tmp_path / "a.zip")
    data = bytearray(archive.read_bytes())
    for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(sign) + place] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be unpacked \(.*password required"):
        download.unpack(archive, tmp_path / "out")
    with pytest.raises(DataError, match=r"There is no archive .*gone"):
        download.unpack(tmp_path / "gone", tmp_path / "out")
