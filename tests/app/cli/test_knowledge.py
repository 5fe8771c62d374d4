"""``tonnage knowledge``: pages that are read, checked and written, and claims that are measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.cli.conftest import Run
from tests.knowledge import pages

PAGE = "Heuristic:Gradient_Checkpointing"
CLAIM = """<!-- tonnage:claim
id = "larger-batch"
text = "More samples per second"
lever = "batch_size"
from = 2
to = 512
quantity = "throughput"
low = 0.5
-->
<!-- tonnage:claim
id = "on-a-card"
text = "More samples per second on a card"
lever = "batch_size"
from = 2
to = 512
quantity = "throughput"
low = 0.5
devices = ["cuda"]
-->

== Reasoning =="""


@pytest.fixture
def wiki(folder: Path) -> Path:
    """A folder of pages without a finding, which ``tonnage.toml`` names."""
    (folder / "tonnage.toml").write_text('[knowledge]\npaths = ["wiki"]\n')
    return pages.write(folder / "wiki")


@pytest.fixture
def broken(wiki: Path) -> Path:
    """A page that has lost a section and a backlink."""
    file = wiki / "heuristics" / "Gradient_Checkpointing.md"
    text = (
        file.read_text()
        .replace("== Reasoning ==\n", "")
        .replace("* [[uses_heuristic::Principle:Adapter_Training]]\n", "")
    )
    file.write_text(text)
    return file


class TestCheck:
    def test_pages_without_an_error_are_status_0(self, tonnage: Run, wiki: Path):
        ran = tonnage("knowledge", "check", "wiki")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "0 errors" in ran.stdout

    def test_findings_name_file_line_and_rule_and_are_status_1(self, tonnage: Run, broken: Path):
        ran = tonnage("knowledge", "check", "wiki", "--format", "json")
        assert ran.returncode == 1
        found = json.loads(ran.stdout)
        errors = [each for each in found["findings"] if each["severity"] == "error"]
        assert found["counts"]["error"] == len(errors) > 0
        paths = {each["path"] for each in errors}
        assert "wiki/heuristics/Gradient_Checkpointing.md" in paths
        assert all(each["line"] >= 1 and each["rule"] and each["instead"] for each in errors)
        annotated = tonnage("knowledge", "check", "wiki", "--format", "github")
        assert annotated.stdout.startswith("::")
        sarif = json.loads(tonnage("knowledge", "check", "wiki", "--format", "sarif").stdout)
        assert sarif["version"] == "2.1.0"

    def test_what_is_mechanical_is_mended(self, tonnage: Run, broken: Path):
        ran = tonnage("knowledge", "check", "wiki", "--fix")
        assert "Gradient_Checkpointing.md" in ran.stderr
        assert "[[uses_heuristic::Principle:Adapter_Training]]" in broken.read_text()
        assert ran.returncode == 1  # nobody can fix a section that was lost

    def test_the_pages_that_come_with_the_product_have_no_error(self, tonnage: Run):
        ran = tonnage("knowledge", "check")
        assert ran.returncode == 0, ran.stdout[-3000:]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["check", "nowhere"], "no such file or folder"),
            (["check", "--format", "xml"], "text, json, sarif, github"),
            (["show", "Gradient_Checkpointin"], PAGE),
            (["graph", "--format", "svg"], "mermaid"),
            (["new", "poem", "Name"], "heuristic"),
            (["new", "heuristic", "A[b]"], "use A_b"),
            (["env", "Gradient_Checkpointing"], "not an environment page"),
            (["env", "PyTorch"], "Core_Environment"),
            (["measure", "QLoRA_Finetuning"], "makes no claim that can be measured"),
            (["measure", "Gradient_Checkpointing", "--claim", "x"], "activation-memory"),
            (["measure", "Gradient_Checkpointing", "--option", "a=1"], "--workload"),
            (["measure", "Gradient_Checkpointing", "--workload", "transformr"], "transformer"),
        ],
    )
    def test_wrong_input_is_status_2_and_says_what_to_do(
        self, tonnage: Run, wiki: Path, arguments: list[str], words: str
    ):
        ran = tonnage("knowledge", *arguments)
        assert ran.returncode == 2, ran.stdout + ran.stderr
        assert words in ran.stderr
        assert "Traceback" not in ran.stderr


class TestReading:
    def test_a_page_as_text_and_as_json(self, tonnage: Run, wiki: Path):
        shown = tonnage("knowledge", "show", "Gradient_Checkpointing")
        assert shown.returncode == 0
        assert "Activations are not kept" in shown.stdout
        assert "not measured here" in shown.stdout
        document = json.loads(tonnage("knowledge", "show", PAGE, "--json").stdout)
        assert (document["name"], document["is_builtin"]) == (PAGE, False)
        assert document["path"].endswith("wiki/heuristics/Gradient_Checkpointing.md")
        assert [claim["evidence"] for claim in document["measurable"]] == [[]]

    def test_searching(self, tonnage: Run, wiki: Path):
        found = json.loads(tonnage("knowledge", "search", "recomputing", "frees", "--json").stdout)
        assert [page["name"] for page in found["pages"]] == [PAGE]
        assert tonnage("knowledge", "search", "xyzzyx").returncode == 1

    def test_the_graph_in_every_format(self, tonnage: Run, wiki: Path):
        around = tonnage("knowledge", "graph", "QLoRA_Finetuning", "--format", "json")
        names = {node["full_name"] for node in json.loads(around.stdout)["nodes"]}
        assert PAGE in names and "Environment:Core_Environment" not in names
        beginnings = {"mermaid": "graph", "dot": "digraph", "graphml": "<?xml"}
        for form, beginning in beginnings.items():
            ran = tonnage("knowledge", "graph", "--format", form)
            assert ran.stdout.startswith(beginning), form

    def test_whether_this_machine_meets_a_page(self, tonnage: Run, wiki: Path):
        ran = tonnage("knowledge", "env", "Core_Environment", "--json", HF_TOKEN="a secret")
        (page,) = json.loads(ran.stdout)["pages"]
        status = {each["kind"]: each["status"] for each in page["requirements"]}
        assert ran.returncode == (0 if page["is_met"] else 1)
        assert (status["os"], status["device"], status["credential"]) == ("met", "met", "met")
        assert "a secret" not in ran.stdout
        lines = tonnage("knowledge", "env", "Core_Environment").stdout
        assert "Environment:Core_Environment" in lines


class TestWriting:
    def test_a_new_page_has_every_section_and_says_what_is_open(self, tonnage: Run, wiki: Path):
        made = tonnage("knowledge", "new", "heuristic", "Team Batch Size")
        file = Path(made.stdout.strip())
        assert made.returncode == 0
        assert file == wiki / "heuristics" / "Team_Batch_Size.md"
        assert "== The Insight (Rule of Thumb) ==" in file.read_text()
        assert tonnage("knowledge", "check", str(file)).returncode == 1
        assert tonnage("knowledge", "new", "heuristic", "Team_Batch_Size").returncode == 2

    def test_indexes_are_written_and_then_current(self, tonnage: Run, wiki: Path):
        assert tonnage("knowledge", "index").returncode == 1
        written = tonnage("knowledge", "index", "--write")
        assert written.returncode == 0
        index = wiki / "_HeuristicIndex.md"
        assert str(index) in written.stdout.splitlines()
        assert "✅Principle:Adapter_Training" in index.read_text()
        again = tonnage("knowledge", "index")
        assert again.returncode == 0 and "# Heuristic Index: wiki" in again.stdout

    def test_the_enrichment_report(self, tonnage: Run, wiki: Path, folder: Path):
        ran = tonnage("knowledge", "report", "--output", "report.md")
        assert ran.returncode == 0
        assert "Core_Environment" in (folder / "report.md").read_text()


class TestMeasure:
    def test_a_claim_is_measured_on_the_users_workload_and_shown_on_the_page(
        self, tonnage: Run, wiki: Path
    ):
        file = wiki / "heuristics" / "Gradient_Checkpointing.md"
        file.write_text(file.read_text().replace("== Reasoning ==", CLAIM))
        ran = tonnage(
            *("knowledge", "measure", PAGE, "--claim", "larger-batch", "--claim", "on-a-card"),
            *("--workload", "train.py:Tiny", "--device", "cpu", "--memory-budget", "256MiB"),
            "--json",
        )
        assert ran.returncode == 0, ran.stderr
        found = {e["claim"].partition("#")[2]: e for e in json.loads(ran.stdout)["evidence"]}
        measured = found["larger-batch"]
        assert (measured["verdict"], measured["ending"]) == ("confirmed", "measured")
        assert measured["low"] <= measured["change"] and measured["pairs"] >= 4
        assert (measured["before_batch"], measured["after_batch"]) == (2, 512)
        assert measured["workload"].endswith("train.py:Tiny")
        assert (found["on-a-card"]["verdict"], found["on-a-card"]["ending"]) == (
            "undecided",
            "unsupported",
        )
        page = json.loads(tonnage("knowledge", "show", PAGE, "--json").stdout)
        kept = {e["id"] for claim in page["measurable"] for e in claim["evidence"]}
        assert kept == {measured["id"], found["on-a-card"]["id"]}

    def test_status_3_where_no_claim_can_be_measured(self, tonnage: Run, wiki: Path):
        file = wiki / "heuristics" / "Gradient_Checkpointing.md"
        file.write_text(file.read_text().replace("== Reasoning ==", CLAIM))
        ran = tonnage(
            *("knowledge", "measure", PAGE, "--claim", "on-a-card", "--workload", "train.py:Tiny"),
            *("--device", "cpu"),
        )
        assert ran.returncode == 3, ran.stderr
        assert "undecided" in ran.stdout
