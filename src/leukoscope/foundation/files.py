"""Files and folders that are old or new, never half.

A file is written beside its final place, flushed to the disk and moved there in
one step. A folder that must appear whole is built under a hidden name first.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leukoscope.foundation.errors import DataError, RunError, UsageError

_DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
MAX_FILE_MB = 200
"""Larger files of a collection are not read: no picture of one cell comes near."""
# What zipfile lets out for a missing, broken or encrypted member, or a method it lacks.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes *path* when the block ends well.

    Parameters
    ----------
    path : Path
        Where the finished file is to stand; its folder is made if missing.

    Yields
    ------
    Path
        A new file name in the same folder. On any exception it is removed and
        whatever stood at *path* before stays as it was.

    Raises
    ------
    RunError
        If the disk is full or the place cannot be written.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with disk_errors(path):
            yield temporary
            # mkstemp makes private files; a result is as readable as any file its owner makes.
            temporary.chmod(0o666 & ~_umask())
            _flush(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write *data* to *path* in one step. Raises RunError if the disk refuses."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write *text* as UTF-8 to *path* in one step. Raises RunError if the disk refuses."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write *value* as indented JSON, keys in their given order, in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from None


def build_folder(path: Path, build: Callable[[Path], None]) -> Path:
    """Build a folder under a hidden name and move it to *path* when it is whole.

    Parameters
    ----------
    path : Path
        Where the finished folder is to stand. Nothing, or an empty folder, may be there.
    build : callable
        Fills the folder it is given.

    Returns
    -------
    Path
        *path*. If *build* raises, nothing is left behind.

    Raises
    ------
    UsageError
        If something already stands at *path*.
    RunError
        If the disk is full or the place cannot be written.
    """
    path = Path(path)
    refuse_existing(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            temporary.chmod(0o777 & ~_umask())
            build(temporary)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def refuse_existing(path: Path) -> None:
    """Raise UsageError if anything but an empty folder stands at *path*."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        if any(path.iterdir()):
            raise UsageError(
                f"{path} already exists and is not empty; it was left untouched. "
                "Give --out a new name, or move the old folder away."
            )
    elif path.exists() or path.is_symlink():
        raise UsageError(f"{path} is a file; it was left untouched. Give --out a new name.")


def refuse_unwritable(path: Path) -> None:
    """Refuse, before the work for it, a file that could not be written at *path* after.

    Raises
    ------
    UsageError
        If anything stands at *path*.
    RunError
        If its folder cannot be made or written.
    """
    path = Path(path)
    with disk_errors(path):
        refuse_existing(path)
        if path.is_dir():
            raise UsageError(f"{path} is a folder; it was left untouched. Give --out a file name.")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a name as long as the one it will be written by.
        prefix = f".{path.name}."
        with tempfile.NamedTemporaryFile(prefix=prefix, suffix=".part", dir=path.parent):
            pass


def refuse_table_name(path: Path) -> None:
    """Raise UsageError if a folder to be made is named like a table."""
    if Path(path).suffix.lower() in {".csv", ".parquet"}:
        raise UsageError(
            f"--out is {path}, but several tables are written: give a folder name. "
            "Nothing was written."
        )


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file while the block runs; the system frees it if the process dies.

    Parameters
    ----------
    path : Path
        The lock file, made if missing.
    wait : bool
        Wait for another holder, or refuse at once.

    Raises
    ------
    RunError
        If the place cannot be written, or another process holds the lock and
        *wait* is false.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise RunError(
            f"Another process is at work in {path.parent}; it was left alone. Wait for it to end."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    """Hash a file's bytes.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file for reading. Raises DataError if it is not a whole one."""
    try:
        return zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise DataError(
            f"{path} is neither a folder nor a whole zip file ({error}). It was left untouched."
        ) from None


def open_collection(root: Path) -> Callable[[str], bytes]:
    """Open a folder or a zip of it for reading.

    Parameters
    ----------
    root : Path
        The folder or zip.

    Returns
    -------
    callable
        ``read(name)`` gives the bytes of one file, named by its relative path with forward
        slashes; several threads may call it at once.

    Raises
    ------
    DataError
        If the zip is not whole; by ``read`` if the file is missing, broken or larger than
        200 MB.
    """
    root = Path(root)
    archive = open_zip(root) if root.is_file() else None

    def read(name: str) -> bytes:
        try:
            if archive is None:
                _refuse_large((root / name).stat().st_size, name, root)
                return (root / name).read_bytes()
            _refuse_large(archive.getinfo(name).file_size, name, root)
            return archive.read(name)
        except _ZIP_ERRORS as error:
            reason = getattr(error, "strerror", None) or str(error).strip("'\"") or "cut short"
            raise DataError(f"{name} of {root} cannot be read ({reason}).") from None

    return read


def _refuse_large(n_bytes: int, name: str, root: Path) -> None:
    if n_bytes > MAX_FILE_MB * 1_000_000:
        raise DataError(
            f"{name} of {root} is larger than {MAX_FILE_MB} MB ({n_bytes / 1e6:.0f} MB); it was "
            "not read. Cut it into single cells, or move it away."
        )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell what a disk refuses inside the block as one RunError, which names *path*."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        advice = "Free space or choose" if error.errno in _FULL else "Choose"
        raise RunError(
            f"{path} could not be written: {error.strerror or error}. "
            f"What stood there before is untouched. {advice} another place, "
            "then give the same command again."
        ) from error
