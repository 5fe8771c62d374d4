"""Which columns of a table hold prompt, completion and group, found by their names.

A role is taken only where one column can have it; otherwise the person is asked to rename. What was
taken stands in the data card.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetuning.data.rows import Rejected, SourceRow
from probes.errors import InputError

PROMPT_NAMES = ("prompt", "instruction", "question", "query")
CONTEXT_NAMES = ("input", "context")
SYSTEM_NAMES = ("system", "system_prompt")
COMPLETION_NAMES = ("completion", "response", "output", "answer")
MESSAGES_NAMES = ("messages", "conversations", "conversation")
GROUP_NAMES = ("group", "group_id", "game_id", "conversation_id")

USER_ROLES = frozenset({"user", "human", "prompter"})
ASSISTANT_ROLES = frozenset({"assistant", "gpt", "chatgpt", "model", "bot"})

NO_TURNS = "is not a list of turns with role and text"
MISSING, NOT_TEXT, NO_ANSWER = "field missing", "field is not text", "no answer of the assistant"


@dataclass(frozen=True)
class Columns:
    """The columns that were taken. Either ``messages`` or ``prompt`` and ``completion`` are set."""

    prompt: str | None = None
    completion: str | None = None
    context: str | None = None
    system: str | None = None
    messages: str | None = None
    group: tuple[str, ...] = ()

    def described(self) -> str:
        """For the data card: what became prompt, completion and group."""
        if self.messages:
            text = f"completion from the assistant's last turn in {self.messages}, prompt from the"
            text += " turns before it"
        else:
            parts = [name for name in (self.system, self.prompt, self.context) if name]
            text = f"prompt from {' and '.join(parts)}, completion from {self.completion}"
        return text + (f", group from {' and '.join(self.group)}" if self.group else "")

    def row(self, record: Mapping[str, Any], place: str) -> SourceRow | Rejected:
        """A record as a row. Texts are kept as they are but for CRLF, which becomes LF.

        Columns that are not called prompt and completion were not made to be joined: where
        neither has white space at the seam, a newline is put there.
        """
        made = self._from_messages(record) if self.messages else self._from_texts(record)
        if isinstance(made, str):
            reason, _, text = made.partition(": ")
            return Rejected(reason, place, text)
        prompt, completion = (text.replace("\r\n", "\n") for text in made)
        named = (str(self.prompt).lower(), str(self.completion).lower())
        if named != ("prompt", "completion") or self.context:
            prompt += "" if _seamed(prompt, completion) else "\n"
        return SourceRow(prompt, completion, self._group(record), place)

    def _from_texts(self, record: Mapping[str, Any]) -> tuple[str, str] | str:
        texts = {}
        for name in (self.system, self.prompt, self.context, self.completion):
            if name is None:
                continue
            value = record.get(name)
            if isinstance(value, float) and math.isnan(value):
                value = None  # as pandas writes a missing text
            if value is None and name in (self.prompt, self.completion):
                return f"{MISSING}: {name}"
            if isinstance(value, list) and name in (self.prompt, self.completion):
                value = conversation_text(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                value = str(value)
            if value is not None and not isinstance(value, str):
                return f"{NOT_TEXT}: {name} is {_kind(value)}"
            texts[name] = value or ""
        names = (self.system, self.prompt, self.context)
        parts = [texts[name] for name in names if name and texts[name].strip()]
        return "\n\n".join(parts), texts[str(self.completion)]

    def _from_messages(self, record: Mapping[str, Any]) -> tuple[str, str] | str:
        value = record.get(str(self.messages))
        if value is None:
            return f"{MISSING}: {self.messages}"
        turns = turns_of(value)
        if isinstance(turns, str):
            return f"{NOT_TEXT}: {self.messages} {turns}"
        while turns and turns[-1][0] != "assistant":
            turns.pop()
        if not any(role == "user" for role, _ in turns[:-1]):
            return f"{NO_ANSWER}: {self.messages} has no user's turn with an answer"
        return joined(turns[:-1]), turns[-1][1]

    def _group(self, record: Mapping[str, Any]) -> str | None:
        values = [record.get(name) for name in self.group]
        if not values or values[-1] is None or not str(values[-1]).strip():
            return None
        return "/".join(str(value) for value in values if value is not None)


def find_columns(names: Collection[str], where: str) -> Columns:
    """The columns by their names. Raises ``InputError`` that names the columns which were found."""
    group = _groups(names)
    if {"prompt", "completion"} <= set(names):
        return Columns("prompt", "completion", group=group)
    messages, prompts = _called(MESSAGES_NAMES, names), _called(PROMPT_NAMES, names)
    completions, contexts = _called(COMPLETION_NAMES, names), _called(CONTEXT_NAMES, names)
    if len(messages) == 1 and not (prompts and completions):
        return Columns(messages=messages[0], group=group)
    if not prompts and len(contexts) == 1 and contexts[0].lower() == "input":
        prompts, contexts = contexts, []
    if len(prompts) == len(completions) == 1 and len(contexts) <= 1 and not messages:
        system = _called(SYSTEM_NAMES, names)
        context = contexts[0] if contexts else None
        return Columns(
            prompts[0], completions[0], context, system[0] if system else None, None, group
        )
    found = ", ".join(sorted(map(str, names))) or "none"
    several = [
        " and ".join(some) for some in (prompts, completions, messages, contexts) if some[1:]
    ]
    why = f" More than one could be taken: {'; '.join(several)}." if several else ""
    if not completions and not messages:
        why += _without_answers(names)
    raise InputError(
        f"{where}: it is unclear which columns are prompt and completion. Columns found: {found}."
        f"{why} Name them prompt and completion."
    )


def _called(wanted: Sequence[str], names: Collection[str]) -> list[str]:
    """The columns with these names, in capitals or not."""
    return [name for each in wanted for name in names if str(name).lower() == each]


def _without_answers(names: Collection[str]) -> str:
    """Why a known kind of data set has nothing to learn from, as a sentence."""
    if {"chosen", "rejected"} <= set(names):
        return " Rows of chosen and rejected answers are for DPO; chosen may be the completion."
    if "text" in names:
        return " A text alone does not tell where its prompt ends."
    return ""


def turns_of(value: Any) -> list[tuple[str, str]] | str:
    """Turns as (role, text), with the roles system, user and assistant; or what keeps the value
    from being such a list, as the end of a sentence.

    Reads ``{"role", "content"}`` and ``{"from", "value"}``; a content may be a list of parts.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return NO_TURNS
    turns = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, Mapping):
            return NO_TURNS
        role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if isinstance(text, list):
            text = _joined_parts(text)
        if not isinstance(text, str) and turn.get("tool_calls"):
            return f"has a turn (number {number}) that calls a tool and has no text"
        if not isinstance(role, str) or not isinstance(text, str):
            return f"has a turn (number {number}) without a role or a text"
        known = role.lower()
        known = "user" if known in USER_ROLES else known
        turns.append(("assistant" if known in ASSISTANT_ROLES else known, text))
    return turns


def _joined_parts(parts: Sequence[Any]) -> str | None:
    """The text of a content in parts, ``[{"type": "text", "text": "…"}]``; ``None`` where one of
    them is something else, such as an image."""
    found = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    texts = [text for text in found if isinstance(text, str)]
    return "".join(texts) if len(texts) == len(found) else None


def joined(turns: Iterable[tuple[str, str]]) -> str:
    """Turns as one text. One question stays as it is; a longer talk names who speaks."""
    listed = list(turns)
    spoken = [turn for turn in listed if turn[0] != "system"]
    parts = [text for role, text in listed if role == "system" and text.strip()]
    if len(spoken) == 1:
        return "\n\n".join([*parts, spoken[0][1]])
    return "\n\n".join(parts + [f"{role.capitalize()}: {text}" for role, text in spoken])


def conversation_text(value: Sequence[Any]) -> Any:
    """The text of a list of turns (TRL's conversational columns); anything else as it is."""
    turns = turns_of(value)
    return joined(turns) if turns and not isinstance(turns, str) else value


def _groups(names: Collection[str]) -> tuple[str, ...]:
    found = next((name for name in GROUP_NAMES if name in names), None)
    if found is None:
        return ()
    return ("algorithm", found) if found == "game_id" and "algorithm" in names else (found,)


def _seamed(prompt: str, completion: str) -> bool:
    return not prompt or prompt[-1].isspace() or completion[:1].isspace()


def _kind(value: Any) -> str:
    return {list: "a list", dict: "a table", bool: "true or false"}.get(type(value), "no text")
