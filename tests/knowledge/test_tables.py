"""Tables in the wiki's form and in that of Markdown."""

from __future__ import annotations

import pytest

from knowledge.tables import find_tables

WIKI = """before
{| class="wikitable"
! Name !! Type
|-
| a || `x || y`
|-
| style="color:red" | b
| c
more of c
|-
! row
| [[source::Blog|t|https://a.org]]
|}
behind"""


def test_a_wiki_table_has_its_rows_and_lines() -> None:
    (table,) = find_tables(WIKI, first_line=10)
    assert (table.line, table.end_line, table.closed) == (11, 22, True)
    assert table.header == ("Name", "Type")
    assert [row.cells for row in table.body] == [
        ("a", "`x || y`"),
        ("b", "c\nmore of c"),
        ("row", "[[source::Blog|t|https://a.org]]"),
    ]
    assert [row.line for row in table.rows] == [12, 14, 16, 20]
    assert [row.headings for row in table.rows] == [2, 0, 0, 1]


def test_a_table_of_markdown() -> None:
    (table,) = find_tables("| A | B |\n|---|:-:|\n| 1 | x \\| y |\n\n| not a table |\n")
    assert table.header == ("A", "B")
    assert [row.cells for row in table.body] == [("1", "x | y")]


def test_a_table_in_a_table_is_part_of_its_cell() -> None:
    (table,) = find_tables("{|\n| a\n{|\n| b\n|}\n|}\n")
    assert len(table.rows) == 1 and "| b" in table.rows[0].cells[0]


@pytest.mark.parametrize("text", ["{|", "{|\n| a", "{|\n|-\n{|\n|}\n"])
def test_a_table_without_an_end_ends_with_the_text(text: str) -> None:
    (table,) = find_tables(text)
    assert table.closed is False


@pytest.mark.parametrize("text", ["", "|", "| a | b |", "a | b\n---\n", "|}\n"])
def test_what_is_no_table(text: str) -> None:
    assert find_tables(text) == ()


def test_a_row_number_beyond_the_limit_is_left_out() -> None:
    (table,) = find_tables("{|\n" + "|-\n| a\n" * 5000 + "|}\n")
    assert len(table.rows) == 2000
