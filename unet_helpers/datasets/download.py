"""Fetch and unpack archives so that a broken connection or a full disk loses nothing."""

import gzip
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm.auto import tqdm

from unet_helpers.files import check_space, checksum
from unet_helpers.labels import DataError

CHUNK = 1 << 20
# What an archive may become: this many files, and this many bytes or times its own size.
MOST_ENTRIES, MOST_BYTES, MOST_TIMES = 1_000_000, 1 << 30, 20
LOST = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def fetch(url, target, size=None, sha256=None, timeout=60):
    """Download a file; a download that broke off is resumed by calling again.

    Args:
        url: address of the file.
        target: Path to write. It appears only when complete; until then the bytes lie beside it
            in a file that ends in `.part`.
        size: expected number of bytes, if known.
        sha256: expected checksum in hexadecimal, if known.
        timeout: seconds without an answer after which the connection counts as lost.

    Returns:
        Path of the complete file. If it is there already, nothing is downloaded.

    Raises:
        DataError: no connection, no space, or a file that is not the expected one.
    """
    target = Path(target)
    if target.exists() and (size is None or target.stat().st_size == size):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    done = part.stat().st_size if part.exists() else 0
    if size is None or done < size:
        if size is not None:
            check_space(target.parent, size - done)
        try:
            receive(url, part, done, timeout)
        except LOST as error:
            reason = getattr(error, "reason", error)
            kept = part.stat().st_size if part.exists() else 0
            raise DataError(
                f"The download of {url} stopped: {reason}. Is there a network connection? "
                f"{kept:,} bytes are kept; run this again to go on from there."
            ) from None
        except OSError as error:
            raise DataError(
                f"{part} could not be written: {error.strerror or error}. Make space or choose "
                "another folder with UNET_COURSE_DATA_DIR, then run this again; what has arrived "
                "is kept."
            ) from None
    received = part.stat().st_size
    if size is not None and received < size:
        raise DataError(
            f"The download of {url} ended after {received:,} of {size:,} bytes. They are kept; "
            "run this again to go on from there."
        )
    if received != (size or received) or (sha256 and checksum(part) != sha256):
        part.unlink()
        raise DataError(
            f"What arrived from {url} is not the expected file (size or checksum differ). It was "
            "deleted; run this again, and if it happens again the file has changed at its source."
        )
    part.replace(target)
    return target


def receive(url, part, done, timeout):
    """Append the bytes of url from position `done` to the file part, with a progress bar."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not done:
            raise
        # Nothing lies behind position `done`: the part is whole or of another file. Start again.
        answer = urllib.request.urlopen(url, timeout=timeout)
    with answer:
        resumed = answer.status == 206
        rest = int(answer.headers.get("Content-Length") or 0)
        before = done if resumed else 0  # a server without ranges sends all of it again
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(
                desc=part.name.removesuffix(".part"),
                total=before + rest or None,
                initial=before,
                unit="B",
                unit_scale=True,
            ) as bar,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if rest and part.stat().st_size < before + rest:
        raise ConnectionError(f"{before + rest - part.stat().st_size:,} bytes did not arrive")


def unpack(archive, folder, inside=None):
    """Unpack a .tar.gz or .zip; the folder appears only when everything is in it.

    Args:
        archive: Path of the archive.
        folder: Path of the folder to make. If it is there already, nothing is done.
        inside: the only folder of the archive to take; its content comes to lie in `folder`.

    Returns:
        Path of the folder.

    Raises:
        DataError: the archive is damaged, lacks the folder, or there is no space.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # what a killed run left behind
    try:
        if not archive.is_file():
            raise DataError(f"There is no archive {archive}; run this again to get it.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        check_space(folder.parent, archive.stat().st_size)
        if zipfile.is_zipfile(archive):
            unpack_zip(archive, part)
        else:
            unpack_tar(archive, part)
    except DataError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, gzip.BadGzipFile) or error.errno is None:
            raise damaged(archive, error) from None
        raise DataError(
            f"{archive} could not be unpacked to {folder}: {error.strerror or error}. Make space "
            "and run this again; the archive is kept."
        ) from None
    except Exception as error:  # the formats in archives let their own kinds of errors through
        shutil.rmtree(part, ignore_errors=True)
        raise damaged(archive, error) from None
    except BaseException:  # Ctrl-C
        shutil.rmtree(part, ignore_errors=True)
        raise
    source = part / inside if inside else part
    if not source.is_dir() or source.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
        raise DataError(
            f"{archive} has no folder {inside}; is it another archive?"
            if inside
            else f"{archive} is empty. Delete it and run this again to get it anew."
        )
    source.replace(folder)
    shutil.rmtree(part, ignore_errors=True)
    return folder


def damaged(archive, error):
    """Make the DataError about an archive that cannot be read."""
    return DataError(
        f"{archive} cannot be unpacked ({error or type(error).__name__}). Delete it and run this "
        "again to get it anew."
    )


def unpack_zip(archive, folder):
    """Unpack a .zip; its list of contents, which comes first, is checked before."""
    with zipfile.ZipFile(archive) as file:
        counter = Counter(archive)
        for entry in file.infolist():
            counter.add(entry.filename, entry.file_size)
        file.extractall(folder)


def unpack_tar(archive, folder):
    """Unpack a .tar.gz entry by entry; there is no list of contents to look at before."""
    with tarfile.open(archive) as file:
        counter = Counter(archive)
        for entry in file:
            counter.add(entry.name, entry.size)
            file.extract(entry, folder, filter="data")


class Counter:
    """Count what comes out of an archive; `add` raises DataError when it cannot be meant well."""

    def __init__(self, archive):
        self.archive = archive
        self.bytes = self.entries = 0
        self.most = max(MOST_BYTES, MOST_TIMES * archive.stat().st_size)

    def add(self, name, size):
        """Count an entry before it is unpacked; name is its path in the archive."""
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise DataError(
                f"{self.archive} cannot be unpacked: it wants to write outside its folder, to "
                f"{name}. Delete it, and get it from a source that you trust."
            )
        self.bytes, self.entries = self.bytes + size, self.entries + 1
        if self.bytes > self.most or self.entries > MOST_ENTRIES:
            raise DataError(
                f"{self.archive} cannot be unpacked: from {self.archive.stat().st_size:,} bytes it "
                f"wants to make more than {self.most:,}, or more than {MOST_ENTRIES:,} files. "
                "Delete it; it is not a data set of images, or it is damaged."
            )
        check_space(self.archive.parent, size)
