"""The verb ``sample``."""

from pathlib import Path

from leukoscope.synthesis.sampling import sample_run


def sample(run: Path, *, n: int, out: Path, seed: int = 0, device: str = "cpu") -> Path:
    """Draw cells with a fitted generator and write them as a dataset.

    Every row says which generator drew it, from which seed and number, and as which category; it
    can be drawn again byte for byte and stands in no validation or test. Before it trains
    anything it is judged: ``leukoscope judge``, then ``leukoscope combine``.

    Parameters
    ----------
    run : Path
        The finished generator run.
    n : int
        How many cells in all, evenly over its categories.
    out : Path
        The dataset folder to make.
    seed : int
        The latents follow from it; a larger sample of one seed holds the smaller.
    device : str
        auto, cpu, cuda, cuda:1 or mps; on another device bytes may differ.

    Returns
    -------
    Path
        The new dataset folder.

    Raises
    ------
    UsageError
        If *n* is below 1, the seed below 0, or something stands at *out*.
    DataError
        If the run is none, is unfinished, or its weights are not those it wrote.
    RunError
        If the disk refuses.
    """
    return sample_run(Path(run), n=n, out=Path(out), seed=seed, device=device)
