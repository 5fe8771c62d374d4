"""Safety: no secrets, no HTML, no characters that hide what a page says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from knowledge.content import Content
from knowledge.rules.model import Rule, RuleProblem, Severity, View

_TOKENS: tuple[tuple[str, str], ...] = (
    ("a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"),
    ("an OpenAI or Anthropic key", r"\bsk-(?:[A-Za-z]{2,10}[A-Za-z0-9]{0,5}-)*[A-Za-z0-9_-]{20,}"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b"),
    ("a Google key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{40,}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{30,}"),
    ("a Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY"),
    ("a password in a URL", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@<>$]{1,100}:[^\s/@<>${]{3,200}@"),
)
_ASSIGNMENT = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)"
    r"[\"'`*]{0,3}\s{0,3}[:=]\s{0,3}[\"'`]?(?P<value>[A-Za-z0-9+/_=.\-]{16,200})",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,80}\Z")
# Of tokenizers and tables, not of services.
_OTHER_KEYS = re.compile(
    r"(?:unk|unknown|pad|eos|bos|sep|cls|mask|special|stop|start|end|next|first|last|image|text"
    r"|primary|foreign|sort|cache|dict|group|partition)_?(?:token|key)\Z",
    re.IGNORECASE,
)
_HTML = re.compile(r"</?(?P<tag>[a-z][a-z0-9]{0,20})(?:\s[^<>\n]{0,300})?/?>", re.IGNORECASE)
_HARMLESS_TAGS = {
    "nowiki",
    "pre",
    "code",
    "syntaxhighlight",
    "source",
    "math",
    "br",
    "sub",
    "sup",
    "ref",
}
_HIDDEN = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2060\u202a-\u202e\u2066-\u2069\u061c]|(?<!\\A)\ufeff"
)
MIN_ENTROPY_BITS = 3.0
"""Of each character of a value: words and placeholders have less, random tokens more."""


def finds_credential(text: str) -> str | None:
    """What kind of secret ``text`` holds, like ``a GitHub token``; ``None`` if none is seen."""
    found = next(credentials(text), None)
    return found[1] if found else None


def credentials(text: str) -> Iterator[tuple[int, str]]:
    """Offset and kind of each secret in a text."""
    seen: set[int] = set()
    for what, pattern in _TOKENS:
        for match in re.finditer(pattern, text):
            if not _is_placeholder(match[0]):
                seen.add(text.count("\n", 0, match.start()))
                yield match.start(), what
    for match in _ASSIGNMENT.finditer(text):
        line = text.count("\n", 0, match.start())
        word = re.match(r"\w+", match[0])
        start = max(0, match.start() - 60)
        name = _NAME.search(text[start : match.start() + len(word[0] if word else "")])
        if line in seen or name is None or _OTHER_KEYS.search(name[0]):
            continue
        if _looks_random(match["value"]):
            seen.add(line)
            yield match.start(), f"the value of {name[0]}"


def _is_placeholder(token: str) -> bool:
    """Whether a token is an example like ``hf_xxxxxxxx`` or ``sk-your-key``."""
    body = re.sub(r"^[A-Za-z]{2,10}[_-]", "", token)
    if re.search(r"your|example|placeholder|redacted|dummy|changeme", token, re.IGNORECASE):
        return not re.search(r"\d.*\d.*\d", body)
    return len(set(body.lower())) <= 3 and "PRIVATE KEY" not in token


def _looks_random(value: str) -> bool:
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    if digits < 2 or letters < 2 or _is_placeholder(value):
        return False
    if re.fullmatch(r"[A-Za-z]+(?:[_.\-/][A-Za-z0-9]{1,12})*", value) and digits <= 4:
        return False  # words, like a path or the name of a model
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= MIN_ENTROPY_BITS


def _credential(content: Content, view: View) -> Iterator[RuleProblem]:
    for offset, what in credentials(content.text):
        yield RuleProblem(
            content.lines.at(offset),
            f"The line holds what looks like {what}.",
            "Remove it, revoke it where it was issued, and write the name of the variable only.",
        )


def _html(content: Content, view: View) -> Iterator[RuleProblem]:
    for match in _HTML.finditer(content.visible):
        if match["tag"].lower() not in _HARMLESS_TAGS:
            yield RuleProblem(
                content.lines.at(match.start()),
                f"HTML is shown as text: <{match['tag']}>.",
                "Use the marks of the wiki, or put it into backticks.",
            )


def _hidden(content: Content, view: View) -> Iterator[RuleProblem]:
    for match in _HIDDEN.finditer(content.text):
        yield RuleProblem(
            content.lines.at(match.start()),
            f"The line holds the invisible character U+{ord(match[0]):04X}.",
            "Remove it.",
        )


RULES = (
    Rule(
        "credential-value",
        Severity.ERROR,
        "A secret in a page can be read by everybody who reads the page; pages name credentials.",
        on_page=_credential,
    ),
    Rule(
        "html",
        Severity.WARNING,
        "Pages are shown without HTML, because it could run scripts in the reader's browser.",
        on_page=_html,
    ),
    Rule(
        "hidden-character",
        Severity.ERROR,
        "Invisible characters make a page say something else than a reader sees.",
        on_page=_hidden,
    ),
)
