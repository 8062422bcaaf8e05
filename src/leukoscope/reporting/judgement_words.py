"""The judgement in plain words: alike or not, copied or not, and what such cells are good for."""

from typing import Literal, NamedTuple

from leukoscope.records.judgements import ALPHA
from leukoscope.reporting import wording
from leukoscope.reporting.evaluated import Number
from leukoscope.reporting.judgement_tables import (
    GENERATED,
    REAL,
    JudgementPage,
    flagged,
    number_of,
)

Likeness = Literal["alike", "near", "far", "unknown"]
Copying = Literal["none", "chance", "some", "all over", "unknown"]

NEAR_SHARE = 0.5
"""Of the reference's precision and recall each, from which on cells that can be told are *near*."""

FEWEST_HELD_OUT = 100
"""Held-out cells below which nothing is called *alike*: the interval of KID of fewer is so wide
that it reaches even blurred cells."""


class Answer(NamedTuple):
    """Hold a question of the reader and its answer."""

    question: str
    text: str


def likeness_of(page: JudgementPage) -> Likeness:
    """Tell how like real cells the generated ones are.

    KID tells them where its interval does not reach that of two halves of real cells; precision
    or recall where its own does not reach what real cells reach. ``far``: precision or recall is
    under half of what real cells reach. ``near``: one of the three tells them, and neither is.
    ``alike``: none does, though at least :data:`FEWEST_HELD_OUT` cells judge, by a network that
    was trained. ``unknown``: none does, but what could lacks; see :func:`doubts`.
    """
    kid, floor = (number_of(page, arm, "kid") for arm in (GENERATED, REAL))
    if kid is None or kid.value is None or floor is None or floor.value is None:
        return "unknown"
    shares = [_of_reference(page, metric) for metric in ("precision", "recall")]
    if _lowest(kid) > _highest(floor):
        near = all(share is not None and share >= NEAR_SHARE for share in shares)
        return "near" if near else "far"
    if any(share is not None and share < NEAR_SHARE for share in shares):
        return "far"
    if _falls_short(page) and all(share is not None for share in shares):
        return "near"
    return "unknown" if doubts(page) else "alike"


def doubts(page: JudgementPage) -> list[str]:
    """Say why cells that KID cannot tell from real ones are not called alike for that."""
    n_held_out = sum(int(one["n_held_out"]) for one in page.about["cells"])
    found = []
    if n_held_out < FEWEST_HELD_OUT:
        found.append(
            f"{wording.count(n_held_out)} held-out cells cannot tell ({FEWEST_HELD_OUT} are needed)"
        )
    if _is_random(page):
        found.append("features of a network at random cannot tell")
    for metric in ("precision", "recall"):
        if _beside(page, metric) is None:
            found.append(f"{metric} was not measured")
    return found


def copying_of(page: JudgementPage) -> Copying:
    """Tell how far generated cells are copies of training cells.

    ``all over``: the test over all of them is significant. ``some``: more are flagged than
    honest held-out cells would be, beyond chance. ``chance``: some are flagged, no more than
    that. ``none``: none is.
    """
    test, share = (number_of(page, GENERATED, name) for name in ("memorisation", "memorised"))
    if test is None and share is None and page.neighbours.is_empty():
        return "unknown"
    if test is not None and test.p_value is not None and test.p_value < ALPHA:
        return "all over"
    if not flagged(page):
        return "none"
    honest = honest_share(page)
    low = None if share is None else share.low
    return "chance" if low is not None and honest is not None and low <= honest else "some"


def honest_share(page: JudgementPage) -> float | None:
    """Give the share of held-out real cells that the same threshold would flag, or None."""
    reference = number_of(page, REAL, "memorised")
    if reference is not None and reference.value is not None:
        return reference.value
    told = page.about.get("honest_flagged")
    return None if told is None else float(told)


def lead(page: JudgementPage) -> str:
    """Give the verdict in one sentence."""
    alike, copied = likeness_of(page), copying_of(page)
    ending = _LEAD_COPIES[copied]
    joint = "and" if (alike in {"alike", "near"}) == (copied in {"none", "chance"}) else "but"
    like = _LEAD_LIKE[alike]
    if alike == "unknown" and _is_measured(page):
        like = f"Whether they are like real cells is not known: {doubts(page)[0]}"
    return f"{like}, {joint} {ending}."


def answers(page: JudgementPage) -> list[Answer]:
    """Answer the four questions that a reader has."""
    return [
        Answer("Do they look like the cells?", _on_likeness(page)),
        Answer("Are they copies of training cells?", _on_copies(page)),
        Answer("How many are flagged?", _on_flags(page)),
        Answer("What can they be used for?", _on_use(page)),
    ]


def limits(page: JudgementPage) -> list[str]:
    """Say what the judge cannot see."""
    small = (
        "Distances rest on few pictures. Compare them with the column beside them, not with "
        "numbers printed elsewhere: another network, size or number of pictures gives others."
    )
    return [
        (
            "The features see what their network learnt to see; a fault that it is blind to counts "
            "for nothing here. Look at the cells themselves, and have an expert tell them blindly "
            "(leukoscope sheet)."
        ),
        small,
        (
            "A cell that is not flagged is no proof. Copies are found in the eight poses of a "
            "square and the same turned by 45 degrees, under other light and some noise; what "
            "passes are copies turned by other angles, shifted by 4 px of 64 and more, or "
            "shrunk below 0.9 of their size."
        ),
        "Nothing here says that generated cells help a classifier; a study answers that.",
        "A generated cell shows no person’s cell. It is training material, never a test’s.",
        *_on_random(page),
    ]


def facts(page: JudgementPage) -> list[tuple[str, str]]:
    """List what a reader looks for first."""
    n_cells = page.neighbours.height
    known = page.about["cells"]
    return [
        ("Generated cells", wording.count(n_cells)),
        ("Flagged as copies", wording.count(flagged(page))),
        ("Training cells compared", wording.count(sum(one["n_fit"] for one in known))),
        ("Held-out cells compared", wording.count(sum(one["n_held_out"] for one in known))),
        ("Compared at", f"{page.about['size_px']} px"),
    ]


def provenance(page: JudgementPage) -> list[tuple[str, str]]:
    """List where the cells come from, and what was compared how."""
    about = page.about
    rows = [
        ("Generated cells", about["generated"]),
        ("Generator", about.get("generator")),
        ("Generator’s id", about.get("generator_id")),
        ("Real cells", about["dataset"]),
        ("Features", about["features"]),
        ("Pools", about.get("pool")),
        ("Flagged below a ratio of", f"{float(about['threshold']):.3g}"),
        ("Near copies across the split, left out", about.get("near_copies_across_split") or None),
        ("Seed", about.get("seed")),
        ("Licence of the real cells", about.get("licence") or "not stated"),
        ("Cite", about.get("citation") or "not stated"),
    ]
    return [(label, str(text)) for label, text in rows if text is not None]


_LEAD_LIKE = {
    "alike": "By these features the generated cells cannot be told from real ones",
    "near": "The generated cells come near to real ones and can still be told from them",
    "far": "The generated cells are clearly unlike real ones",
    "unknown": "How like real cells they are was not measured",
}
_LEAD_COPIES = {
    "none": "none of them is flagged as a copy",
    "chance": "no more of them lie as near to training cells as honest cells do by chance",
    "some": "more of them are flagged as copies than chance explains",
    "all over": "as a whole they lie too near to the training cells: the generator copies",
    "unknown": "whether they are copies was not looked into",
}


_PLAINLY = {
    "alike": "As far as the network sees, yes.",
    "near": "Nearly.",
    "far": "No.",
    "unknown": "This cannot be told",
}


def _on_likeness(page: JudgementPage) -> str:
    kid, floor = (number_of(page, arm, "kid") for arm in (GENERATED, REAL))
    if kid is None or kid.value is None:
        return "This was not measured."
    alike = likeness_of(page)
    plainly = _PLAINLY[alike]
    if alike == "unknown":
        plainly += f": {'; '.join(doubts(page) or ['two halves of real cells lack'])}."
    against = "" if floor is None else f"; two halves of the real cells lie {_kid(floor)} apart"
    parts = [
        f"{plainly} In the network's features they lie {_kid(kid)} from held-out cells{against}."
    ]
    for metric, text in (
        ("precision", "{} of 100 generated cells lie where real ones lie"),
        ("recall", "{} of 100 real cells lie where generated ones do"),
    ):
        own, reference = (number_of(page, arm, metric) for arm in (GENERATED, REAL))
        if own is not None and own.value is not None:
            other = "" if reference is None else f" (real against real: {_hundred(reference)})"
            parts.append(f"{text.format(_hundred(own))}{other}.")
    return " ".join(parts)


def _on_copies(page: JudgementPage) -> str:
    test = number_of(page, GENERATED, "memorisation")
    copied = copying_of(page)
    tested = (
        "" if test is None or test.p_value is None else f" (p {wording.compared(test.p_value)})"
    )
    if copied == "all over":
        return (
            f"Yes: taken together they lie nearer to the training cells than to held-out ones"
            f"{tested}. The generator has learnt training cells by heart."
        )
    if copied == "some":
        return (
            f"Some are. The test over all of them does not show it{tested}, but more are flagged "
            "than chance explains."
        )
    if copied == "unknown":
        return "This was not looked into."
    return (
        "There is no sign of it: taken together they lie no nearer to the training cells than to "
        f"cells the generator never saw{tested}."
    )


def _on_flags(page: JudgementPage) -> str:
    n_flagged, n_cells = flagged(page), page.neighbours.height
    share = number_of(page, GENERATED, "memorised")
    bounds = ""
    if share is not None and share.bounds is not None:
        _, low, high = share.bounds
        bounds = f", {wording.percent(low)} to {wording.percent(high)} %"
    text = (
        f"{wording.count(n_flagged)} of {wording.count(n_cells)}"
        f" ({wording.percent(n_flagged / n_cells) if n_cells else '0.0'} %{bounds})."
    )
    honest = honest_share(page)
    if honest is not None:
        text += (
            f" Of real cells that the generator never saw, {wording.percent(honest)} % would be "
            "flagged."
        )
    return f"{text} Flagged cells are left out when the set is combined." if n_flagged else text


def _on_use(page: JudgementPage) -> str:
    copied, alike = copying_of(page), likeness_of(page)
    if copied == "all over":
        return (
            "For nothing yet. They add little to the training cells and would show them to whoever "
            "gets the set. Fit with more cells or fewer updates, and judge again."
        )
    kept = "The cells that are not flagged may" if flagged(page) else "They may"
    doubt = {
        "far": " They are so unlike real cells that they may do harm: ask a study first.",
        "unknown": " Measure how like real cells they are first.",
    }
    return (
        f"{kept} join real cells in a training split, and nowhere else: no generated cell "
        "validates, calibrates or tests anything." + doubt.get(alike, "")
    )


def _on_random(page: JudgementPage) -> list[str]:
    if not _is_random(page):
        return []
    return [
        (
            "The features come from a network with random weights: they see colour and coarse "
            "texture, and miss much that a trained network or an eye would see."
        )
    ]


def _falls_short(page: JudgementPage) -> bool:
    """Tell whether precision or recall is surely below what real cells reach."""
    pairs = [_beside(page, metric) for metric in ("precision", "recall")]
    return any(_highest(own) < _lowest(reference) for own, reference in filter(None, pairs))


def _beside(page: JudgementPage, metric: str) -> tuple[Number, Number] | None:
    """Give a number of generated cells with that of real ones, or None where one lacks."""
    own, reference = (number_of(page, arm, metric) for arm in (GENERATED, REAL))
    if own is None or own.value is None or reference is None or reference.value is None:
        return None
    return own, reference


def _is_random(page: JudgementPage) -> bool:
    return "random" in str(page.about["features"]).lower()


def _is_measured(page: JudgementPage) -> bool:
    found = [number_of(page, arm, "kid") for arm in (GENERATED, REAL)]
    return all(one is not None and one.value is not None for one in found)


def _lowest(number: Number) -> float:
    return float(number.low if number.low is not None else number.value or 0.0)


def _highest(number: Number) -> float:
    return float(number.high if number.high is not None else number.value or 0.0)


def _of_reference(page: JudgementPage, metric: str) -> float | None:
    own, reference = (number_of(page, arm, metric) for arm in (GENERATED, REAL))
    if own is None or own.value is None or reference is None or not reference.value:
        return None
    return own.value / reference.value


def _kid(number: Number) -> str:
    text = f"{number.value:.4f}".replace("-", wording.MINUS)
    if number.bounds is None:
        return f"a KID of {text}"
    _, low, high = number.bounds
    span = f"{low:.4f} to {high:.4f}".replace("-", wording.MINUS)
    return f"a KID of {text} ({span})"


def _hundred(number: Number) -> str:
    return "an unknown number" if number.value is None else f"{100 * number.value:.0f}"
