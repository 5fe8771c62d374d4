"""``tonnage knowledge``: pages of tribal knowledge, and their claims measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import print_json
from probes.errors import InputError
from probes.formatting import parse_size
from probes.space_text import parse_assignments

app = typer.Typer(
    help="Read, check and connect knowledge pages, and measure what they claim on this device.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[
    str,
    typer.Argument(
        help="Name of a page, with or without its type: Heuristic:Gradient_Checkpointing.",
        metavar="NAME",
    ),
]
CHECK_FORMATS = ("text", "json", "sarif", "github")
PAGE_TYPES = ("heuristic", "workflow", "environment", "principle", "implementation")
GRAPH_FORMATS = ("mermaid", "dot", "json", "graphml")


@app.command("check")
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of pages. Default: the configured folders and the built-in "
            "pages.",
            metavar="[PATH]…",
        ),
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="First fix what can be fixed mechanically: section order, backlinks, lists of "
            "steps, indexes. Fixes are listed on stderr.",
        ),
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(CHECK_FORMATS)}.")
    ] = "text",
) -> None:
    """Check pages against every rule: file and line, what is wrong, and what to write instead.

    Exit status 1 if there are errors; warnings and notes do not count.

    Example: tonnage knowledge check wiki --fix
    """
    from app.cli.knowledge import authoring
    from knowledge.formats import Format

    if form not in CHECK_FORMATS:
        raise InputError(f"--format {form}: choose one of {', '.join(CHECK_FORMATS)}.")
    settings = open_settings()
    for line in authoring.fix_pages(settings, paths or []) if fix else ():
        typer.echo(f"Fixed: {line}", err=True)
    checked = authoring.check(settings, paths or [], Format(form))
    typer.echo(checked.text, nl=False)
    raise typer.Exit(1 if checked.has_errors else 0)


@app.command("new")
def new(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(PAGE_TYPES)}.", metavar="TYPE")],
    name: Annotated[
        str, typer.Argument(help="Its name, such as Huggingface_peft_Rank.", metavar="NAME")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of pages. Default: the first configured one, or the working directory."
        ),
    ] = None,
) -> None:
    """Begin a page: every section that its type needs, and what belongs in each.

    Only the file's name is written to stdout.

    Example: tonnage knowledge new heuristic Team_Batch_Size --folder wiki
    """
    from app.cli.knowledge import authoring
    from knowledge.model import PageType

    if kind not in PAGE_TYPES:
        raise InputError(f"{kind}: choose one of {', '.join(PAGE_TYPES)}.")
    typer.echo(str(authoring.begin(open_settings(), PageType(kind), name, folder)))


@app.command("show")
def show(name: Name, database: options.Database = None, json_: options.Json = False) -> None:
    """Show a page, and what was measured here of each of its claims.

    Example: tonnage knowledge show Gradient_Checkpointing
    """
    from app.cli.knowledge import pages
    from app.cli.knowledge.authoring import library_here
    from app.knowledge import service
    from app.knowledge.library import find_page

    settings = open_settings()
    library = library_here(settings)
    page = find_page(library, name)
    rows = service.newest(open_database(settings, database), page=page.full_name)
    if json_:
        print_json(pages.document(library, page, rows))
    else:
        pages.show(library, page, rows)


@app.command("search")
def search(
    words: Annotated[
        list[str], typer.Argument(help="Words that must all occur in the page.", metavar="WORDS")
    ],
    limit: Annotated[int, typer.Option(min=1, help="At most this many pages.")] = 20,
    json_: options.Json = False,
) -> None:
    """Find the pages that contain every word, best match first. Exit status 1 if no page matches.

    Example: tonnage knowledge search activation memory
    """
    from app.cli.knowledge import pages
    from app.cli.knowledge.authoring import library_here

    library = library_here(open_settings())
    found = library.search(" ".join(words), limit)
    if json_:
        print_json(pages.matches_document(library, found))
    elif found:
        pages.show_matches(found)
    else:
        typer.echo("No page has all of these words.", err=True)
    raise typer.Exit(0 if found else 1)


@app.command("graph")
def graph(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show only pages near this one. Default: every page.", metavar="[NAME]"
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="How many links away to show.")] = 1,
    form: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(GRAPH_FORMATS)}.")
    ] = "mermaid",
) -> None:
    """Print the pages and the links between them, for a tool that draws them.

    Example: tonnage knowledge graph LoRA_Fine_Tuning --depth 2 --format dot
    """
    if form not in GRAPH_FORMATS:
        raise InputError(f"--format {form}: choose one of {', '.join(GRAPH_FORMATS)}.")

    from app.cli.knowledge.authoring import library_here
    from app.knowledge.library import find_page
    from knowledge.graph import Graph

    library = library_here(open_settings())
    found = Graph(library)
    if name is not None:
        found = found.neighbourhood(find_page(library, name).full_name, depth)
    typer.echo(getattr(found, f"to_{form}")(), nl=False)


@app.command("index")
def index(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of pages. Default: the configured ones, or the built-in pages.",
            metavar="[FOLDER]",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the files, and name those that changed.")
    ] = False,
) -> None:
    """Print the index pages, with ✅ for what exists and ⬜ for what is missing.

    Without --write, exit status 1 if the files are out of date.

    Example: tonnage knowledge index wiki --write
    """
    from app.cli.knowledge import authoring
    from app.cli.output import write_file

    found = authoring.indexes(open_settings(), folder)
    for path, text, is_current in found:
        if not write:
            typer.echo(text)
        elif not is_current:
            write_file(path, text)
            typer.echo(str(path))
    raise typer.Exit(0 if write or all(current for *_, current in found) else 1)


@app.command("env")
def env(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of an environment page. Default: every environment page.", metavar="[NAME]"
        ),
    ] = None,
    python: options.Python = None,
    json_: options.Json = False,
) -> None:
    """Say whether this machine and interpreter meet an environment page.

    Each requirement is met, missing or too old, with the line that would install it. Environment
    variables are only looked for by name. Exit status 1 if the named page's
    requirements are not met, or no page's are.

    Example: tonnage knowledge env Pytorch_Core_Environment --python .venv/bin/python
    """
    from app.cli.knowledge import environment as report
    from app.cli.knowledge.authoring import library_here
    from app.knowledge.environment import environment_here, judged
    from knowledge.model import PageType

    settings = open_settings()
    library = library_here(settings)
    known = library.of_type(PageType.ENVIRONMENT)
    pages = known if name is None else [report.environment_page(library, name)]
    here = environment_here(settings, python, pages)
    answers = [judged(page, here) for page in pages]
    if json_:
        print_json(report.document(here, answers))
    else:
        report.show(here, answers)
    raise typer.Exit(0 if any(each.is_met for each in answers) else 1)


@app.command("measure")
def measure(
    name: Annotated[
        str, typer.Argument(help="Name of a page, or all for every page.", metavar="NAME|all")
    ],
    claim: Annotated[
        list[str] | None,
        typer.Option(help="Only the claim with this id. Repeatable.", metavar="ID"),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            help="Measure on this workload: a registered name, path/to/file.py:Class or "
            "package.module:Class. Default: the one that the claim names, or else small built-in "
            "ones.",
            metavar="WORKLOAD",
        ),
    ] = None,
    set_: options.Set = None,
    option: options.Option = None,
    device: options.Device = None,
    memory_budget: options.MemoryBudget = None,
    python: options.Python = None,
    wait: options.Wait = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Measure what a page claims: probes with and without the lever, in turn, on this device.

    Each claim is confirmed, refuted or undecided, with a 95 % interval. The evidence is stored and
    shown beside the claim. --set gives both sides the same value. Exit status 3 if no claim could
    be measured.

    Example: tonnage knowledge measure Gradient_Checkpointing --workload train.py:MyWorkload
    """
    from app.cli.knowledge import measuring
    from app.cli.knowledge.authoring import library_here

    settings = open_settings(lease_wait_s=wait)
    command = measuring.MeasureCommand(
        name=name,
        claims=claim or (),
        workload=workload,
        options=parse_assignments(option or [], "--option"),
        pinned=parse_assignments(set_ or [], "--set"),
        device=device,
        memory_budget_bytes=parse_size(memory_budget) if memory_budget else None,
        python=python,
    )
    store = open_database(settings, database)
    rows = measuring.measure(settings, store, library_here(settings), command)
    if json_:
        print_json(measuring.document(rows))
    else:
        measuring.show(rows)
    raise typer.Exit(measuring.exit_code(rows))


@app.command("report")
def report(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of pages. Default: the configured ones, or the built-in pages.",
            metavar="[FOLDER]",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="What the pages are about. Default: what their names share.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write it to a file.", metavar="FILE")] = None,
) -> None:
    """Print the enrichment report: pages created, findings, links, pending pages, statistics and
    verification, in Markdown.

    Example: tonnage knowledge report wiki --output report.md
    """
    from app.cli.knowledge import authoring
    from app.cli.output import write_file

    text = authoring.report(open_settings(), folder, title)
    if output is not None:
        write_file(output, text)
    else:
        typer.echo(text, nl=False)
