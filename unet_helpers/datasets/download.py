"""Download and unpack archives so that nothing incomplete is ever taken for complete."""

import shutil
import tarfile
import zipfile
from pathlib import Path

from unet_helpers.files import atomic_write, check_space, checksum, explained
from unet_helpers.labels import DataError

CHUNK = 1 << 20


def fetch(url, target, size=0, sha256=None, timeout=60):
    """Download a file with pooch; an interrupted download starts again.

    `size` (bytes) and `sha256` are those of the expected file, if known; `timeout` is in seconds.
    Returns Path, which appears only when complete; a file that is there is not downloaded again.
    Raises DataError without a connection or space, or for another file than the expected one.
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

    `inside` is the archive's folder whose content is to lie in `folder`. Returns Path; if it is
    there already, nothing is done. Raises DataError if the archive is damaged, unsafe or
    lacks the folder, or if there is no space.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    advice = "Make space; if there is enough, the archive is damaged: delete it and run this again."
    try:
        with explained(f"{archive} cannot be unpacked to {folder}", advice):
            part.mkdir(parents=True)
            is_zip = zipfile.is_zipfile(archive)
            # zipfile and tarfile's filter see to it that nothing is written outside the folder
            safe = {} if is_zip else {"filter": "data"}
            with (zipfile.ZipFile if is_zip else tarfile.open)(archive) as file:
                for entry in file.infolist() if is_zip else file:
                    check_space(part, entry.file_size if is_zip else entry.size)
                    file.extract(entry, part, **safe)
            if not (part / inside).is_dir() or (part / inside).is_symlink():
                raise DataError(f"{archive} has no folder {inside}; is it another archive?")
            (part / inside).replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
