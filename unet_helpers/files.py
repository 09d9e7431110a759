"""Folders of data, and files that are written completely or not at all."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from unet_helpers.labels import DataError


def check_space(folder, n_bytes):
    """Raise DataError if a folder's disk has less than n_bytes free."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise DataError(
            f"{folder} has {free:,} bytes free and {n_bytes:,} are needed. Make space or choose "
            "another folder with UNET_COURSE_DATA_DIR."
        )


def checksum(path):
    """Compute the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sample_folder(name):
    """Return the folder of a sample data set, in the repository or the installed package."""
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "data" / name, package / "data" / name):
        if folder.is_dir():
            return folder
    raise DataError(
        f"The sample data {name!r} is neither in {package.parent / 'data'} nor in the installed "
        "package. Clone the whole repository, or reinstall the package."
    )


def full_folder(name):
    """Return the folder for a full data set, UNET_COURSE_DATA_DIR/name or data/full/name.

    `data` is in the repository or, without one, in the working directory. It need not exist yet.
    """
    repository = Path(__file__).resolve().parent.parent
    here = repository if (repository / "data").is_dir() else Path.cwd()
    return Path(os.environ.get("UNET_COURSE_DATA_DIR") or here / "data" / "full") / name


@contextlib.contextmanager
def explained(problem, advice, errors=Exception):
    """Turn an error of the block into a DataError: the problem, its cause and what to do."""
    try:
        yield
    except DataError:
        raise
    except errors as error:
        first = next(iter(str(error).splitlines()), "")[:300]
        cause = getattr(error, "strerror", None) or f"{type(error).__name__}: {first}"
        raise DataError(f"{problem} ({cause}). {advice}") from error


@contextlib.contextmanager
def lock(folder):
    """Make a folder and hold it, until the block or the process ends, by a file `.lock` in it.

    Raises DataError when another process holds the folder, or nothing can be written there.
    """
    advice = "Choose another folder, or change its permissions."
    with explained(f"Nothing can be written to {folder}", advice, OSError):
        Path(folder).mkdir(parents=True, exist_ok=True)
        file = open(Path(folder) / ".lock", "a")  # noqa: SIM115
    with file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            message = f"Another training run is writing to {folder}. Wait, or choose another one."
            raise DataError(message) from None
        except OSError:
            pass  # some shared disks have no locks
        yield


@contextlib.contextmanager
def atomic_write(path):
    """Yield a path to write to, which becomes `path` only if the block ends without an error."""
    path = Path(path)
    part = path.with_name(f"part-{path.name}")
    advice = "Make space or choose another folder; what was there before is kept."
    # HDF5 raises RuntimeError on a full disk
    with explained(f"{path} could not be written", advice, (OSError, RuntimeError)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
