"""From sources to a folder that is complete or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finetuning.data.prepare import prepare
from finetuning.data.progress import Progress
from finetuning.data.sources import Source
from finetuning.data.summary import DataSummary, read_summary
from probes.errors import InputError
from tests.finetuning.data.helpers import pairs, read_lines, settings, write_games, write_lines


def source(path: Path, name: str = "a") -> Source:
    return Source(name, (str(path),))


def all_rows(summary: DataSummary) -> list[dict]:
    return [row for name in ("train", "eval", "test") for row in read_lines(summary.path(name))]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def lines(tmp_path) -> Path:
    return write_lines(tmp_path / "a.jsonl", pairs(100))


def test_rows_have_five_fields_and_every_row_is_in_one_split(tmp_path, lines):
    summary = prepare([source(lines)], settings(), tmp_path / "out")
    rows = all_rows(summary)
    assert {name: file.rows for name, file in summary.splits.items()} == {
        "train": 80,
        "eval": 10,
        "test": 10,
    }
    assert all(set(row) == {"prompt", "completion", "source", "group", "id"} for row in rows)
    assert {row["id"] for row in rows} == {f"a-{number}" for number in range(1, 101)}
    assert {row["prompt"] for row in rows} == {row["prompt"] for row in pairs(100)}


def test_every_row_that_was_read_is_accounted_for(tmp_path):
    games = write_games(tmp_path / "bfs", range(12))
    (games / "game_12.json").write_text('{"detailed_history": {"moves": []}}')
    more = write_lines(tmp_path / "a.jsonl", [*pairs(90), *pairs(20), {"prompt": "x"}, [1]])
    chosen = settings(balance="repeat", max_samples_per_source=70)
    summary = prepare([source(games, "bfs"), source(more)], chosen, tmp_path / "out")
    for one in summary.sources:
        assert one.read == one.kept + sum(one.dropped.values())
        assert one.kept == one.over_limit + sum(one.leaked.values()) + sum(one.rows.values())
        assert sum(one.rows.values()) <= 70
    trained = Counter(row["source"] for row in read_lines(summary.path("train")))
    assert trained == {
        one.name: one.rows["train"] - one.left_out + one.repeated for one in summary.sources
    }
    assert trained["bfs"] == trained["a"]
    bfs, other = summary.sources
    assert bfs.dropped["game rejected"] == 1 and bfs.files == 12
    assert other.dropped == {
        "duplicate": 20,
        "field missing": 1,
        "row is not a table of names and values": 1,
    }


def test_a_repeated_row_gets_an_id_of_its_own(tmp_path, lines):
    small = write_lines(tmp_path / "b.jsonl", pairs(10, "b"))
    sources = [source(lines), source(small, "b")]
    summary = prepare(sources, settings(balance="repeat"), tmp_path / "out")
    ids = [row["id"] for row in all_rows(summary)]
    assert len(set(ids)) == len(ids) == 80 + 80 + 11 + 11
    assert summary.sources[1].repeated == 72
    held = {row["prompt"] for name in ("eval", "test") for row in read_lines(summary.path(name))}
    assert not held & {row["prompt"] for row in read_lines(summary.path("train"))}


def test_the_same_inputs_give_the_same_files_wherever_they_lie(tmp_path, lines):
    first = prepare([source(lines)], settings(), tmp_path / "one")
    (tmp_path / "elsewhere").mkdir()
    moved = lines.rename(tmp_path / "elsewhere" / "a.jsonl")
    second = prepare([source(moved)], settings(), tmp_path / "two")
    assert first.splits == second.splits and first.fingerprint == second.fingerprint
    other = prepare([source(moved)], settings(seed=7), tmp_path / "three")
    assert other.splits["train"].sha256 != first.splits["train"].sha256


def test_a_complete_folder_is_used_again(tmp_path, lines):
    out = tmp_path / "out"
    first = prepare([source(lines)], settings(), out)
    written = first.path("train").stat().st_mtime_ns
    again = prepare([source(lines)], settings(), out)
    assert (first.reused, again.reused) == (False, True)
    assert again == first
    assert again.path("train").stat().st_mtime_ns == written


def test_a_folder_from_other_inputs_is_refused_unless_it_may_be_overwritten(tmp_path, lines):
    out = tmp_path / "out"
    first = prepare([source(lines)], settings(), out)
    changes = {"training.seed": {"seed": 1}, "data.eval_share": {"eval_share": 0.2}}
    for name, changed in changes.items():
        with pytest.raises(InputError, match=f"{name} is .* and was"):
            prepare([source(lines)], settings(**changed), out)
    write_lines(lines, pairs(101))
    with pytest.raises(InputError, match=r"source a has changed.*--output.*resume"):
        prepare([source(lines)], settings(), out)
    second = prepare([source(lines)], settings(), out, overwrite=True)
    assert not second.reused and second.fingerprint != first.fingerprint
    assert sum(file.rows for file in second.splits.values()) == 101
    assert names(out) == ["data"]


class TestRowsThatAreKept:
    @pytest.fixture
    def out(self, tmp_path, lines) -> Path:
        prepare([source(lines)], settings(), tmp_path / "out")
        return tmp_path / "out"

    @pytest.fixture
    def told(self, out, lines):
        """What is noted when the rows are kept, beyond what the card says."""

        def told(*sources: Source, **changes) -> list[str]:
            before = read_summary(out / "data")
            summary = prepare(sources or [source(lines)], settings(**changes), out, keep=True)
            assert summary.reused and summary.splits == before.splits
            assert read_summary(out / "data") == before  # what is noted now is not kept
            return list(summary.notes[len(before.notes) :])

        return told

    def test_a_source_that_has_changed_is_named(self, told, lines):
        assert told() == []
        write_lines(lines, pairs(101))
        (note,) = told()
        assert "source a has changed" in note

    def test_a_source_that_is_gone_is_named(self, told, lines):
        lines.unlink()
        (note,) = told()
        assert str(lines) in note

    def test_sources_that_are_new_or_missing_are_named(self, told, tmp_path):
        other = write_lines(tmp_path / "b.jsonl", pairs(30, "b"))
        new, missing = told(source(other, "b"))
        assert "source b is new" in new and "source a is missing" in missing

    def test_a_card_of_an_earlier_version_does_not_tell_which(self, told, out, lines):
        card = out / "data" / "data_card.json"
        plain = json.loads(card.read_text())
        for one in plain["sources"]:
            del one["sha256"]
        card.write_text(json.dumps(plain))
        assert told() == []
        write_lines(lines, pairs(101))
        (note,) = told()
        assert "source has changed" in note

    def test_other_data_settings_are_refused(self, told):
        with pytest.raises(InputError, match=r"data.test_share is 0.3 and was"):
            told(test_share=0.3)

    def test_where_there_are_none_they_are_prepared(self, tmp_path, lines):
        assert not prepare([source(lines)], settings(), tmp_path / "new", keep=True).reused


@pytest.mark.parametrize("damage", ["truncate", "remove", "card"])
def test_a_folder_that_was_changed_afterwards_is_refused(tmp_path, lines, damage):
    summary = prepare([source(lines)], settings(), tmp_path / "out")
    if damage == "truncate":
        os.truncate(summary.path("eval"), 10)
    elif damage == "remove":
        summary.path("eval").unlink()
    else:
        (summary.folder / "data_card.json").write_text("{")
    for keep in (False, True):
        with pytest.raises(InputError, match=f"Remove {summary.folder}"):
            prepare([source(lines)], settings(), tmp_path / "out", keep=keep)
    prepare([source(lines)], settings(), tmp_path / "out", overwrite=True)
    assert prepare([source(lines)], settings(), tmp_path / "out").reused


def test_a_folder_of_something_else_is_left_alone(tmp_path, lines):
    mine = tmp_path / "out" / "data"
    mine.mkdir(parents=True)
    prepare([source(lines)], settings(), tmp_path / "out", overwrite=False)
    thesis = tmp_path / "other" / "data" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("x")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="prepared data"):
            prepare([source(lines)], settings(), tmp_path / "other", overwrite=overwrite)
    assert thesis.read_text() == "x"


def test_a_limit_takes_whole_games(tmp_path):
    games = write_games(tmp_path / "bfs", range(20))
    whole = prepare([source(games)], settings(), tmp_path / "all")
    limited = prepare([source(games)], settings(max_samples_per_source=200), tmp_path / "some")
    sizes = Counter(row["group"] for row in all_rows(whole))
    taken = Counter(row["group"] for row in all_rows(limited))
    leaked = sum(limited.sources[0].leaked.values()) + sum(whole.sources[0].leaked.values())
    assert 150 <= sum(taken.values()) <= 200
    assert sum(abs(sizes[group] - count) for group, count in taken.items()) <= leaked


def test_a_source_without_a_usable_row_is_refused_with_the_reasons(tmp_path, lines):
    empty = write_lines(tmp_path / "b.jsonl", [{"prompt": "a", "completion": ""}] * 4)
    with pytest.raises(InputError, match=r"source b .*completion empty: 4"):
        prepare([source(lines), source(empty, "b")], settings(), tmp_path / "out")
    (tmp_path / "c.jsonl").write_text("\n")
    with pytest.raises(InputError, match=r"source c .*empty"):
        prepare([source(tmp_path / "c.jsonl", "c")], settings(), tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_contradictions_and_rows_of_two_sources_are_counted_and_kept(tmp_path):
    rows = [{"prompt": f"p{i}\n", "completion": "x"} for i in range(20)]
    other = [{"prompt": f"p{i}\n", "completion": "y" if i < 5 else "x"} for i in range(20)]
    one, two = (write_lines(tmp_path / n, r) for n, r in (("1.jsonl", rows), ("2.jsonl", other)))
    summary = prepare([source(one, "one"), source(two, "two")], settings(), tmp_path / "out")
    assert (summary.contradictory, summary.shared) == (5, 15)
    assert [one.kept for one in summary.sources] == [20, 20]


def test_prompts_that_run_into_their_completions_are_noted(tmp_path):
    rows = [{"prompt": f"p{i}", "completion": "x"} for i in range(20)]
    summary = prepare(
        [source(write_lines(tmp_path / "a.jsonl", rows))], settings(), tmp_path / "out"
    )
    assert any("a: 20 rows have no white space" in note for note in summary.notes)


def test_a_source_that_is_repeated_many_times_is_noted(tmp_path, lines):
    small = write_lines(tmp_path / "b.jsonl", pairs(5, "b"))
    sources = [source(lines), source(small, "b")]
    summary = prepare(sources, settings(balance="repeat"), tmp_path / "out")
    assert sum("training row of b is repeated" in note for note in summary.notes) == 1


def test_two_calls_at_once_make_one_folder(tmp_path, lines):
    def prepared(_number: int) -> DataSummary:
        return prepare([source(lines)], settings(), tmp_path / "out")

    with ThreadPoolExecutor(4) as pool:
        summaries = list(pool.map(prepared, range(4)))
    assert all(summary == summaries[0] for summary in summaries)
    assert names(tmp_path / "out") == ["data"]
    assert len(all_rows(summaries[0])) == 100


# -- kill -9 ----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from finetuning.data import prepare as module
from finetuning.data.sources import Source
from tests.finetuning.data.helpers import settings

lines, out, where, seed, overwrite = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if where == "splitting":
    module.split = die
elif where == "writing":
    original, calls = module._write, []
    def write(path, *rest):
        calls.append(path)
        return original(path, *rest) if len(calls) < 2 else die()
    module._write = write
elif where == "moving":
    module.move_into_place = die
elif where == "between":
    rename = Path.rename
    Path.rename = lambda self, to: die() if self.name.startswith(".data") else rename(self, to)
sources = [Source("a", (lines,))]
module.prepare(sources, settings(seed=int(seed)), Path(out), overwrite=bool(overwrite))
"""


def killed(lines: Path, out: Path, where: str, seed: int = 42, overwrite: str = "") -> int:
    """Run ``prepare`` in a process that dies at a point; returns its status."""
    command = [sys.executable, "-c", KILLED, str(lines), str(out), where, str(seed), overwrite]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[3]).returncode


@pytest.mark.parametrize("where", ["splitting", "writing", "moving"])
def test_a_kill_leaves_nothing_that_looks_prepared_and_the_next_call_starts_over(
    tmp_path, lines, where
):
    out = tmp_path / "out"
    assert killed(lines, out, where) == -signal.SIGKILL
    assert not (out / "data").exists() and len(names(out)) == 1
    summary = prepare([source(lines)], settings(), out)
    assert names(out) == ["data"]
    assert len({row["id"] for row in all_rows(summary)}) == len(all_rows(summary)) == 100


def test_a_kill_while_old_data_is_replaced_leaves_no_mixture(tmp_path, lines):
    out = tmp_path / "out"
    prepare([source(lines)], settings(), out)
    assert killed(lines, out, "between", seed=7, overwrite="yes") == -signal.SIGKILL
    summary = prepare([source(lines)], settings(seed=7), out)
    assert summary.seed == 7 and len(all_rows(summary)) == 100
    assert names(out) == ["data"]


def test_a_kill_before_old_data_is_replaced_leaves_it_as_it_was(tmp_path, lines):
    out = tmp_path / "out"
    before = prepare([source(lines)], settings(), out)
    assert killed(lines, out, "writing", seed=7, overwrite="yes") == -signal.SIGKILL
    after = prepare([source(lines)], settings(), out)
    assert after.reused and after == before
    assert names(out) == ["data"]


# -- progress ---------------------------------------------------------------------------------


def test_short_work_reports_nothing(tmp_path, lines):
    calls: list[tuple] = []
    prepare([source(lines)], settings(), tmp_path / "out", lambda *call: calls.append(call))
    assert calls == [] or calls[0][0] in ("checking", "reading", "writing")


def test_long_work_reports_phases_with_their_totals():
    now, calls = [0.0], []
    progress = Progress(lambda *call: calls.append(call), clock=lambda: now[0])
    progress.phase("reading", 100)
    for _ in range(50):
        now[0] += 0.1
        progress.advance(2)
    progress.phase("writing", 10)
    now[0] += 1
    progress.advance(10)
    progress.finish()
    assert calls[0][0] == "reading" and calls[0][2] == 100
    assert 40 <= calls[0][1] <= 44, "quiet for two seconds"
    assert len(calls) <= 9
    assert ("reading", 100, 100) in calls and calls[-1] == ("writing", 10, 10)


def test_where_no_row_can_be_used_the_first_one_is_shown(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", [{"messages": "[]"}] * 3)
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: messages is not a list of turns"):
        prepare([Source("a", (str(file),))], settings(), tmp_path / "out")


def test_a_missing_file_is_an_error_and_makes_no_folder(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        prepare([source(tmp_path / "none.jsonl")], settings(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_card_is_plain_json(tmp_path, lines):
    summary = prepare([source(lines)], settings(), tmp_path / "out")
    card = json.loads((summary.folder / "data_card.json").read_text())
    assert card["splits"]["train"]["rows"] == 80
    assert card["sources"][0]["taken"] == ["prompt from prompt, completion from completion"]
    assert str(tmp_path) not in json.dumps({**card, "sources": []})
