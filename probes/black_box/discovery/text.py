"""From the bytes of a stream to lines of plain text: no colours, no cursor movements, no bars."""

from __future__ import annotations

import re

from probes.black_box.punctuation import narrow

LONGEST_LINE = 65_536
"""Bytes of an unfinished line that are kept."""
READ_CHARACTERS = 1_000
"""Characters of a line that are looked at."""
BAR = "▌"
"""Stands for the drawn part of a progress bar."""
TIME = "⏱"
"""Stands for a date, a time of day or a duration such as ``0:12:05``."""
FILE = "§"
"""Stands for a path, a module name or a place in a source file."""

_LINE_END = re.compile(rb"[\r\n]+")
_ESCAPES = re.compile(
    r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\x00\x08]"
)
_BARS = re.compile(
    r"(?<=%)\s?\|[^|]{0,300}\|"  # tqdm, also with ASCII characters
    r"|\[[=>.# -]{4,}\]"  # Keras 2 and many others
    r"|\|?[█▉▊▋▌▍▎▏░▒▓━╸╺─⣿■□▇▆▅▃▂]{2,}[█▉▊▋▌▍▎▏░▒▓━╸╺─⣿■□▇▆▅▃▂ -]*\|?"
    r"|\|[#=>-]{5,}[ #=>-]*\|"
)
_BAR_SIGNS = ("%|", "% |", "|#", "|-", "|=", "[=", "[>", "[#", "[.", "[-")
_TIMES = re.compile(
    r"\d(?<![\w:./]\d)(?:"
    r"\d{3}[-/]\d\d[-/]\d\d(?:[T ,_:]+\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\d[/-][0-3]\d(?:[/-]\d\d(?:\d\d)?)?[ T]+\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"|\d* ?d(?:ays?)?,? \d{1,3}:\d\d(?::\d\d)?(?:[.,]\d+)?(?![\w:])"
    r"|\d{0,2}:\d\d(?::\d\d)?(?:[.,]\d+)?(?![\w:])"
    r"|\d*h ?\d+m(?: ?\d+s)?\b|\d*m ?\d+s\b|\d*s\d+ms\b)"
)
_FILES = re.compile(
    r"(?:[A-Za-z_][\w-]*/)*[A-Za-z_][\w-]*(?:\.[A-Za-z_]\w*)+(?::\d+)?(?::[A-Za-z_]\w*)?"
    r"|\.{0,2}/(?<![\w\]/.)]/)(?<![\w\]/)]\./)[\w.@+-]+(?:/[\w.@=+-]*)+"
)
_METRIC = re.compile(r"[\"']?\s*(?:=|:\s)\s*(?:[-+]?\d*\.\d|[-+]?(?:nan|inf)\b)", re.IGNORECASE)
"""What follows the name of a metric, ``loss.train: 2.97``, and no file."""
_SUFFIX = re.compile(r"\.(?:py|ipynb|c|cc|cpp|cu|h|json|jsonl|yaml|yml|txt|log|csv|pt|pth|bin)$")
_URLS = re.compile(r"\b[a-z]+://\S+|\b0x[0-9a-f]+\b")
_LOGGER = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):[\w.-]+:")
"""How Python's logging begins a line unless it is told otherwise: ``INFO:root:``."""
_DOTTED = re.compile(r"\.[A-Za-z_]|/[\w.@+-]+/")


class LineSplitter:
    """Splits one stream into lines. A carriage return ends a line too, as progress bars use it."""

    def __init__(self) -> None:
        self._rest = b""
        self._rest_at_s = 0.0

    @property
    def unfinished(self) -> str:
        """What was printed of a line that has not ended."""
        return plain(self._rest.decode(errors="replace")).strip()

    def lines(self, data: bytes) -> list[str]:
        """The lines that end in this piece of output, without colours; blank ones are left out."""
        return [text for text, _ in self.timed(data, 0.0)]

    def timed(self, data: bytes, at_s: float) -> list[tuple[str, float]]:
        """As ``lines``, each with when the last of it arrived: the carriage return after a bar
        comes with the next one."""
        begun, begun_at_s = self._rest, self._rest_at_s
        *ended, self._rest = _LINE_END.split(begun + data)
        if self._rest and data and data[-1:] not in b"\r\n":
            self._rest_at_s = at_s
        self._rest = self._rest[-LONGEST_LINE:]
        is_whole = bool(begun) and data[:1] in (b"\r", b"\n")
        found = []
        for number, line in enumerate(ended):
            text = plain(line[:LONGEST_LINE].decode(errors="replace"))
            if text and not text.isspace():
                found.append((text, begun_at_s if is_whole and not number else at_s))
        return found


def plain(text: str) -> str:
    """A line without colours and cursor movements, and with ASCII punctuation."""
    text = narrow(text)
    if "\x1b" in text or "\x08" in text or "\x00" in text:
        return _ESCAPES.sub("", text)
    return text


def without_details(text: str) -> str:
    """A line in which bars, times and files are replaced by one character each."""
    text = text[:READ_CHARACTERS]
    if not text.isascii() or any(sign in text for sign in _BAR_SIGNS):
        text = _BARS.sub(BAR, text)
    if "://" in text or "0x" in text:
        text = _URLS.sub(FILE, text)
    if ":" in text or "-" in text or "m " in text or "ms" in text:
        text = _TIMES.sub(TIME, text)
    if (match := _LOGGER.match(text)) is not None:
        text = f"{FILE}:{text[match.end() :]}"
    if _DOTTED.search(text):
        text = _FILES.sub(_file_or_metric, text)
    return text


def _file_or_metric(match: re.Match[str]) -> str:
    name = match[0]
    is_metric = "/" not in name and ":" not in name and not _SUFFIX.search(name)
    return name if is_metric and _METRIC.match(match.string, match.end()) else FILE
