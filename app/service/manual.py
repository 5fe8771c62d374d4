"""The pages ``/docs`` and ``/errors``: the description of the interface, for people.

They are plain pages made on the server, so that they work without a network and run no script. The
usual viewers are a megabyte of JavaScript that browsers fetch from another site.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from app.http.problem_types import PAGE, TYPES

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid #8886}
summary{cursor:pointer;padding:.3rem 0}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#8881;padding:.7rem;overflow:auto;border-radius:4px}
.method{display:inline-block;min-width:4.5rem;font-weight:600}
table{border-collapse:collapse}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}
@media(prefers-color-scheme:dark){body{background:#16181d;color:#dde}a{color:#8bf}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def interface(document: dict[str, Any]) -> HTMLResponse:
    """Every operation with its parameters, an example body, and its answers."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["operations"])[0]
            by_tag.setdefault(tag, []).append(_operation(document, path, method, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(all_)}" for tag, all_ in by_tag.items())
    info = document["info"]
    paragraphs = "".join(f"<p>{_inline(text)}</p>" for text in info["description"].split("\n\n"))
    return _page(
        f"{info['title']} API {info['version']}",
        f'{paragraphs}<p>For programs: <a href="/openapi.json">/openapi.json</a>. Errors: '
        f'<a href="{PAGE}">{PAGE}</a></p>{sections}',
    )


def errors() -> HTMLResponse:
    """Every kind of error, under the heading that its ``type`` points to."""
    sections = "".join(
        f'<h2 id="{kind.slug}">{kind.slug}</h2><p>{kind.status}. <b>{escape(kind.title)}.</b> '
        f"{_inline(kind.when)}</p><p>What to do: {_inline(kind.what_to_do)}</p>"
        for kind in TYPES.values()
    )
    return _page("Tonnage API: errors", sections)


def _page(title: str, content: str) -> HTMLResponse:
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{content}</body></html>"
    )
    return HTMLResponse(body, headers={"Content-Security-Policy": POLICY})


def _operation(document: dict[str, Any], path: str, method: str, found: dict[str, Any]) -> str:
    parts = [f"<p>{_inline(found.get('description', ''))}</p>"]
    rows = [
        (
            f"<code>{escape(each['name'])}</code>{'' if each.get('required') else ' (optional)'}",
            escape(each["in"]),
            _inline(each.get("description") or each.get("schema", {}).get("description", "")),
        )
        for each in found.get("parameters", [])
    ]
    if rows:
        parts.append(_table(("parameter", "in", ""), rows))
    example = _example_body(document, found)
    if example is not None:
        parts.append(f"<p>Body, for example:</p><pre>{escape(json.dumps(example, indent=2))}</pre>")
    answers = [
        (escape(status), _inline(answer.get("description", "")))
        for status, answer in found["responses"].items()
    ]
    parts.append(_table(("status", "answer"), answers))
    return (
        f'<details id="{escape(found["operationId"])}"><summary><span class="method">'
        f"{method.upper()}</span><code>{escape(path)}</code> – {escape(found['summary'])}</summary>"
        f"{''.join(parts)}</details>"
    )


def _example_body(document: dict[str, Any], found: dict[str, Any]) -> Any:
    content = found.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    name = content["schema"]["$ref"].rpartition("/")[2]
    examples = document["components"]["schemas"][name].get("examples", [])
    return examples[0] if examples else None


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _inline(text: str) -> str:
    """Escaped, with `code` as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{each}</code>" if odd % 2 else each for odd, each in enumerate(pieces))
