"""Full-width punctuation, as Chinese and Japanese programs print it: ``Loss：1.98，``.

Standard library only.
"""

from __future__ import annotations

import re

_FULL, _ASCII = "：，（）［］｜／＝％；", ":,()[]|/=%;"
_NARROW = str.maketrans(_FULL, _ASCII)
_IN_PATTERN = re.compile(rf"\\?[{_FULL}]")


def narrow(text: str) -> str:
    """The text with ASCII punctuation in place of the full-width one."""
    return text if text.isascii() else text.translate(_NARROW)


def narrow_pattern(pattern: str) -> str:
    """A regular expression that matches in the narrow text what this one matches in the text."""
    if pattern.isascii():
        return pattern
    return _IN_PATTERN.sub(lambda match: re.escape(narrow(match[0][-1])), pattern)
