"""Download and unpack archives so that nothing incomplete is ever taken for complete."""

import shutil
import tarfile
import zipfile
from pathlib import Path

from unet_helpers.files import atomic_write, check_space, checksum
from unet_helpers.labels import DataError

CHUNK = 1 << 20
# What an archive may become: this many files, and this many bytes or times its own size.
MOST_ENTRIES, MOST_BYTES, MOST_TIMES = 1_000_000, 1 << 30, 20


def fetch(url, target, size=0, sha256=None, timeout=60):
    """Download a file with pooch; an interrupted download starts again.

    Args:
        url: address of the file.
        target: Path to write. It appears only when complete.
        size: expected number of bytes, if known; so much space must be free.
        sha256: expected checksum in hexadecimal, if known.
        timeout: seconds without an answer after which the connection counts as lost.

    Returns:
        Path of the complete file. If it is there already, nothing is downloaded.

    Raises:
        DataError: no connection, no space, or not the expected file.
    """
    import pooch  # here, because few sessions download anything

    target = Path(target)
    if target.exists() and sha256 in (None, checksum(target)):
        return target
    with atomic_write(target) as part:
        check_space(target.parent, size)
        print(f"Downloading {url}", flush=True)
        try:
            pooch.HTTPDownloader(True, CHUNK, timeout=timeout)(url, str(part), None)
        except OSError as error:  # of the network as well as of the disk
            raise DataError(
                f"The download of {url} stopped: {error}. Check the network connection and the "
                f"free space of {target.parent}, then run this again."
            ) from None
        if sha256 not in (None, checksum(part)):
            raise DataError(
                f"What arrived from {url} is not the expected file: its checksum differs. It was "
                "deleted; run this again. If it happens again, the file has changed at its source."
            )
    return target


def unpack(archive, folder, inside):
    """Unpack one folder of a .tar.gz or .zip; `folder` appears only when everything is in it.

    Args:
        archive: Path of the archive.
        folder: Path of the folder to make. If it is there already, nothing is done.
        inside: the folder of the archive whose content is to lie in `folder`.

    Returns:
        Path of the folder.

    Raises:
        DataError: the archive is damaged or unsafe, lacks the folder, or there is no space.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    try:
        part.mkdir(parents=True)
        extract(archive, part)
        if not (part / inside).is_dir() or (part / inside).is_symlink():
            raise DataError(f"{archive} has no folder {inside}; is it another archive?")
        (part / inside).replace(folder)
    except DataError:
        raise
    except Exception as error:  # each archive format raises its own kinds of errors
        raise DataError(
            f"{archive} cannot be unpacked to {folder} ({error or type(error).__name__}). Make "
            "space; if there is enough, the archive is damaged: delete it and run this again."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def extract(archive, folder):
    """Extract an archive entry by entry; raises DataError before one that is too large.

    zipfile and tarfile's filter see to it that nothing is written outside the folder.
    """
    is_zip, packed, total = zipfile.is_zipfile(archive), archive.stat().st_size, 0
    most = max(MOST_BYTES, MOST_TIMES * packed)
    with (zipfile.ZipFile if is_zip else tarfile.open)(archive) as file:
        for count, entry in enumerate(file.infolist() if is_zip else file, 1):
            size = entry.file_size if is_zip else entry.size
            total += size
            if total > most or count > MOST_ENTRIES:
                raise DataError(
                    f"{archive} cannot be unpacked: from {packed:,} bytes it would make more than "
                    f"{most:,}, or more than {MOST_ENTRIES:,} files. Delete it; it is not a data "
                    "set of images, or it is damaged."
                )
            check_space(folder, size)
            file.extract(entry, folder, **({} if is_zip else {"filter": "data"}))
