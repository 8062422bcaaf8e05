"""Randomness with a name: a stream depends on its seed and its names, and on nothing else.

Counter-based generators (Salmon et al. 2011, "Parallel random numbers: as easy
as 1, 2, 3") need no state carried from draw to draw, so the number of workers,
the batch size, the order of work and a resumed run change nothing.
"""

import hashlib
import threading
from operator import index

import numpy as np
import numpy.typing as npt

from leukoscope.foundation.errors import UsageError

_HALF = 2**64 - 1
_kept = threading.local()


def key(seed: int, *names: str | int) -> int:
    """Hash a seed and names to an integer below 2**128.

    Parameters
    ----------
    seed : int
        The seed of the run or study.
    *names : str or int
        What the stream is for, from the general to the particular, for example
        ``"augment", cell_id, copy``. ``1`` and ``"1"`` are different names.

    Returns
    -------
    int
        The same on every machine, in every process, for every version of numpy.
    """
    text = "\x1f".join(_spell(part) for part in (int(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Open the random generator of this seed and these names.

    Parameters
    ----------
    seed : int
        The seed of the run or study.
    *names : str or int
        What the stream is for; see :func:`key`.

    Returns
    -------
    numpy.random.Generator
        A Philox generator at its start. Two calls give two equal streams.
    """
    return np.random.Generator(np.random.Philox(key=key(seed, *names)))


def uniform(n: int, seed: int, *names: str | int) -> npt.NDArray[np.float64]:
    """Draw the first numbers of a stream, much faster than by opening it.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        The seed of the run or study.
    *names : str or int
        What the stream is for; see :func:`key`.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        In [0, 1); equal to ``stream(seed, *names).random(n)``.
    """
    # A new generator gathers entropy from the system only to throw it away: one a thread is
    # brought to each stream's start instead.
    if not hasattr(_kept, "generator"):
        _kept.generator = np.random.Generator(np.random.Philox(key=0))
        _kept.start = _kept.generator.bit_generator.state
    whole = key(seed, *names)
    _kept.start["state"]["key"][:] = whole & _HALF, whole >> 64
    _kept.generator.bit_generator.state = _kept.start
    return np.asarray(_kept.generator.random(n))


def check_seed(seed: int) -> None:
    """Refuse what is no seed. Raises UsageError unless it is a whole number of at least 0."""
    try:
        is_seed = index(seed) >= 0
    except TypeError:
        is_seed = False
    if not is_seed:
        raise UsageError(
            f"--seed is {seed}; it should be a whole number of at least 0. Nothing was written."
        )


def _spell(part: str | int) -> str:
    """Write one name so that no two lists of names read alike, whatever characters they hold."""
    if isinstance(part, str):
        # A doubled separator cannot be taken for the one between two names.
        return "str:" + part.replace("\x1f", "\x1f\x1f")
    return f"int:{index(part)}"
