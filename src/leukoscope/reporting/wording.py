"""How numbers and names are written for the eye: percent, percentage points, counts.

Undefined is said in words and never shown as 0. A minus is a minus sign, thousands
are set apart by a narrow space that does not break.
"""

import re

UNDEFINED = "undefined"
MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"

METRICS = {
    "macro_f": "macro-F",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
}
"""The metrics of an arm as the page writes them."""

_NOISE = 1e-9

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

UNITS = {"case": ("case", "cases"), "family": ("family", "families")}
"""One and many of each unit of inference."""


def percent(value: float | None) -> str:
    """Write a fraction in percent with one decimal, without the sign: 0.874 is ``87.4``."""
    return UNDEFINED if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Write a difference of fractions in percentage points: −0.021 is ``−2.1``.

    A difference that one decimal would round to 0 gets a second one, so that an
    interval which excludes 0 is not shown as if it did not.
    """
    if value is None:
        return UNDEFINED
    value = _without_noise(value)
    text = f"{100 * value:.1f}"
    if float(text) == 0 and value != 0:
        text = f"{100 * value:.2f}"
    return text.replace("-", MINUS) if float(text) else text.lstrip("-")


def signed(value: float | None) -> str:
    """Write a difference as :func:`points` does, with a plus sign where it is above 0."""
    text = points(value)
    return "+" + text if value is not None and _without_noise(value) > 0 else text


def margin_points(margin: float) -> str:
    """Write a margin in points with one decimal, or as many as it has, up to three."""
    text = f"{100 * margin:.3f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def span(low: float, high: float) -> str:
    """Write an interval of differences: ``0.4 to 3.8``."""
    return f"{points(low)} to {points(high)}"


def signed_span(low: float, high: float) -> str:
    """Write an interval of differences with its signs: ``−0.4 to +3.8``."""
    return f"{signed(low)} to {signed(high)}"


def p_value(value: float | None, otherwise: str = UNDEFINED) -> str:
    """Write a p value with two digits that count, or *otherwise* where there is none."""
    if value is None:
        return otherwise
    if value < 0.001:
        return "<" + NARROW_SPACE + "0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def compared(value: float) -> str:
    """Write a p value with its sign of comparison: ``= 0.012``, ``< 0.001``."""
    text = p_value(value)
    return text.replace(NARROW_SPACE, " ") if text.startswith("<") else f"= {text}"


def count(value: float | None) -> str:
    """Write a count, ``12 345``; None is ``unknown``. A mean that is not whole has a decimal."""
    if value is None:
        return "unknown"
    return mean_count(value, 0 if float(value).is_integer() else 1)


def mean_count(value: float, decimals: int) -> str:
    """Write a count with this many decimals; only an exact 0 is shown as ``0``."""
    if value == 0:
        return "0"
    if decimals and value < 0.05:
        return "<" + NARROW_SPACE + "0.1"
    return f"{value:,.{decimals}f}".replace(",", NARROW_SPACE)


def in_words(number: int) -> str:
    """Write a small count as a word: 4 is ``four``, 13 stays ``13``."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else count(number)


def counted(number: int, one: str, many: str) -> str:
    """Write a count and what is counted: ``1 case``, ``51 cases``."""
    return f"{count(number)} {one if number == 1 else many}"


def name_of(arm: str) -> str:
    """Write an arm's name as words: ``online-rotation`` is ``online rotation``."""
    return " ".join(arm.replace("-", " ").replace("_", " ").split()) or arm


def shortened(text: str, longest: int) -> str:
    """Cut a text that a figure has no room for, with an ellipsis as its last sign."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def unbroken(text: str) -> str:
    """Keep percentages, pixels and the intervals in brackets on one line: ``(−0.4 to +3.8)``."""
    together = r"\d (?:%|px)|\([^()]* to [^()]*\)"
    return re.sub(together, lambda found: found[0].replace(" ", NO_BREAK), text)


def sentence_case(text: str) -> str:
    """Raise the first letter and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def metric_name(metric: str) -> str:
    """Write a metric's name: ``macro_f`` is ``macro-F``."""
    return METRICS.get(metric, name_of(metric))


def without_controls(text: str) -> str:
    """Leave out control characters but tab and newline: HTML forbids them, terminals obey them."""
    return text.translate(_CONTROLS)


def reason(method: str) -> str:
    """Say why there is no interval, from the method that could not give one."""
    return method.removeprefix("undefined:").strip() or "no reason given"


def method_in_short(method: str) -> str:
    """Name a method without the counts that differ from row to row; the tables keep them."""
    return re.sub(r", \d+ groups( × \d+ replicates)?", "", method)


def _without_noise(value: float) -> float:
    """Take what only the last bits of a sum can make for the 0 that it is."""
    return 0.0 if abs(value) < _NOISE else value
