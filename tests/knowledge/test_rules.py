"""Each rule, with pages that break it and the fact that its message states."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from knowledge import indexes
from knowledge.library import Library, load
from knowledge.rules import RULES, Finding, Severity, check
from knowledge.rules.safety import finds_credential
from tests.knowledge import pages
from tests.knowledge.broken import BROKEN, Broken

NOW = datetime(2026, 11, 29, 17, 0, tzinfo=timezone.utc)


def with_indexes(folder: Path) -> Library:
    indexes.write(load(folder, builtin=False))
    return load(folder, builtin=False)


def test_a_library_without_a_fault_has_no_finding(tmp_path: Path) -> None:
    folder = pages.write(tmp_path / "wiki")
    assert len(indexes.write(load(folder, builtin=False))) == 5
    assert check(load(folder, builtin=False), now=NOW) == []


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_broken_page_breaks_its_rule_and_no_other(broken: Broken) -> None:
    text = pages.FILES[broken.path]
    assert broken.old in text
    text = text.replace(broken.old, broken.new, 1)
    found = check(pages.changed(broken.path, text), now=NOW)
    mine = [finding for finding in found if finding.rule == broken.rule]
    assert any(broken.fact in f"{f.message} {f.instead}" for f in mine), found
    assert {finding.rule for finding in found} == {broken.rule, *broken.also}
    for finding in mine:
        assert 1 <= finding.line <= text.count("\n") + 1
        assert finding.severity is RULES[broken.rule].severity


def test_a_byte_order_mark_hides_nothing() -> None:
    assert check(pages.changed(pages.WORKFLOW_FILE, "\ufeff" + pages.WORKFLOW), now=NOW) == []


def test_findings_name_the_line_of_the_fault() -> None:
    text = pages.WORKFLOW.replace("Step 2: Adapter", "Step 3: Adapter")
    (finding,) = check(pages.changed(pages.WORKFLOW_FILE, text), now=NOW)
    assert text.split("\n")[finding.line - 1] == "=== Step 3: Adapter Training ==="


def test_every_rule_has_a_page_that_breaks_it() -> None:
    elsewhere = {
        *("unreadable", "name-characters", "name-capital", "orphan", "claim-place"),
        "workflow-repository",
        *("index-missing", "index-form", "index-rows", "index-marks", "index-connections"),
    }
    assert {broken.rule for broken in BROKEN} | elsewhere == set(RULES)
    assert len(BROKEN) >= 60


def test_rules_have_a_reason_and_say_what_they_fix() -> None:
    assert all(rule.reason.endswith(".") and len(rule.reason) > 20 for rule in RULES.values())
    fixable = {rule.id for rule in RULES.values() if rule.fixable}
    assert {"backlink-missing", "section-order", "index-marks"} <= fixable
    assert all((rule.on_page is None) != (rule.on_library is None) for rule in RULES.values())


@pytest.mark.parametrize(
    ("name", "rule", "fact"),
    [
        ("Gradient-Checkpointing", "name-characters", "Gradient_Checkpointing"),
        ("Gradient Checkpointing", "name-characters", "space"),
        ("C++_Kernels", "name-characters", "C_Kernels"),
        ("gradient_checkpointing", "name-capital", "Gradient_checkpointing"),
    ],
)
def test_names_that_wikis_refuse(tmp_path: Path, name: str, rule: str, fact: str) -> None:
    pages.write(tmp_path, {f"heuristics/{name}.md": pages.HEURISTIC})
    found = check(load(tmp_path, builtin=False), rules=[rule])
    assert [fact in f"{f.message} {f.instead}" for f in found] == [True]


def test_a_page_that_nothing_leads_to_is_an_orphan(tmp_path: Path) -> None:
    text = pages.PRINCIPLE.partition("=== Implemented By")[0]
    pages.write(tmp_path, {"principles/Alone.md": text})
    (finding,) = check(load(tmp_path, builtin=False), rules=["orphan"])
    assert finding.page == "Principle:Alone"


def test_links_in_code_do_not_count() -> None:
    code = "\n".join(
        [
            "has a low rank.",
            "```",
            "[[step::Principle:Nowhere]]",
            "```",
            "`[[step::Principle:Nowhere]]`",
            "<nowiki>[[step::Principle:Nowhere]]</nowiki>",
            "<pre>[[step::Principle:Nowhere]]</pre>",
            "<!-- [[step::Principle:Nowhere]] -->",
        ]
    )
    text = pages.PRINCIPLE.replace("has a low rank.", code)
    assert check(pages.changed(pages.PRINCIPLE_FILE, text), now=NOW) == []


def test_a_workflow_of_the_newer_dialect_links_its_repository() -> None:
    text = "# Workflow: QLoRA_Finetuning\n" + pages.WORKFLOW
    text = text.replace("[[step::Principle:Data_Formatting]]", "")
    text = text.replace("[[step::Principle:Adapter_Training]]", "")
    text = text.partition("=== Execution Steps ===")[0] + "=== Tips" + text.partition("=== Tips")[2]
    rules = ["workflow-repository", "step-link", "steps-agree", "section-missing"]
    (finding,) = check(pages.changed(pages.WORKFLOW_FILE, text), rules=rules)
    assert finding.rule == "workflow-repository"
    linked = text.replace("From raw text", "[https://github.com/a/b Repository] From raw text")
    assert check(pages.changed(pages.WORKFLOW_FILE, linked), rules=rules) == []


def test_a_claim_belongs_on_a_heuristic(tmp_path: Path) -> None:
    claim = pages.HEURISTIC[pages.HEURISTIC.index("<!-- tonnage") :].partition("-->")[0] + "-->"
    text = pages.PRINCIPLE.replace("has a low rank.", f"has a low rank.\n{claim}")
    pages.write(tmp_path, {pages.PRINCIPLE_FILE: text})
    assert len(check(load(tmp_path, builtin=False), rules=["claim-place"])) == 1


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "heuristics").mkdir()
    (tmp_path / "heuristics" / "Broken.md").write_bytes(b"\n\xff\n")
    (finding,) = check(load(tmp_path, builtin=False))
    assert (finding.rule, finding.line, finding.severity) == ("unreadable", 2, Severity.ERROR)


def test_a_date_of_this_minute_is_not_in_the_future(tmp_path: Path) -> None:
    text = pages.HEURISTIC.replace("2026-11-15 10:00", "2026-11-29 17:00")
    pages.write(tmp_path, {"heuristics/Gradient_Checkpointing.md": text})
    library = load(tmp_path, builtin=False)
    assert check(library, now=NOW, rules=["date-future"]) == []
    early = NOW - timedelta(minutes=1)
    assert len(check(library, now=early, rules=["date-future"])) == 1


def test_only_the_files_that_were_asked_for_are_reported(tmp_path: Path) -> None:
    pages.write(tmp_path, {"heuristics/A.md": "== X ==\n", "principles/B.md": "== X ==\n"})
    library = load(tmp_path, builtin=False)
    found = check(library, only=[tmp_path / "heuristics"])
    assert {finding.page for finding in found} == {"Heuristic:A"}
    assert {f.page for f in check(library, only=[tmp_path / "principles" / "B.md"])} == {
        "Principle:B"
    }


def test_a_built_in_page_need_not_link_back_to_a_users_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin = pages.write(tmp_path / "builtin")
    monkeypatch.setattr("knowledge.library.BUILTIN_FOLDER", builtin)
    mine = pages.write(
        tmp_path / "mine",
        {"workflows/Mine.md": pages.WORKFLOW},
    )
    assert check(load(mine), rules=["backlink-missing"]) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (pages.IMPLEMENTATION_FILE, "`bool`", "Optional[Union[list[str], str]]"),
        (pages.IMPLEMENTATION_FILE, "`bool`", "Callable[[str], int]"),
        (pages.IMPLEMENTATION_FILE, "| resume ||", '| colspan="3" | all\n|-\n| resume ||'),
        (pages.IMPLEMENTATION_FILE, "Trainer(model)", 'unknown_token = "xyzabc123notinvocab"'),
        (pages.WORKFLOW_FILE, "] --> B", "] --> Q{Enough data?} --> B"),
        (pages.IMPLEMENTATION_FILE, "* [[requires_env",
         "* [[implements::Principle:Adapter_Training]]\n* [[requires_env"),
    ],
)  # fmt: skip
def test_what_pages_in_use_write_is_no_fault(name: str, old: str, new: str) -> None:
    text = pages.FILES[name].replace(old, new, 1)
    assert check(pages.changed(name, text), now=NOW) == []


def test_a_first_line_may_lack_the_name_of_the_repository() -> None:
    name = "heuristics/Huggingface_peft_Gradient_Checkpointing.md"
    text = "# Heuristic: Gradient_Checkpointing\n" + pages.HEURISTIC
    library = pages.library({name: text})
    assert check(library, rules=["header-name"]) == []


def test_many_faults_of_a_rule_on_a_page_are_cut_off(tmp_path: Path) -> None:
    pages.write(tmp_path, {"heuristics/A.md": "== X ==\n" + "]]\n" * 3000})
    assert len(check(load(tmp_path, builtin=False), rules=["link-syntax"])) == 50


@pytest.mark.parametrize(
    "harmless",
    [
        "HF_TOKEN",
        "export HF_TOKEN=…",
        "export HF_TOKEN=<your token>",
        "export WANDB_API_KEY=$WANDB_API_KEY",
        "HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxx",
        "OPENAI_API_KEY=sk-your-key-goes-here-please",
        "hf_hub_download(repo_id, token=os.environ['HF_TOKEN'])",
        "sk-learn-compatible estimators and sk-image",
        "tokenizer_name = meta-llama/Llama-3.1-8B-Instruct",
        "pad_token = <|endoftext|>",
        "eos_token: 50256",
        "max_tokens=4096, num_key_value_heads=8",
        "PYTORCH_ALLOC_CONF=expandable_segments:True",
        "key=gradient_checkpointing_kwargs",
        "primary_key: 0123456789",
        "model = ghp_model",
        "https://example.org:8080/path@v2",
        "git@github.com:owner/repository.git",
        "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "TOKENIZERS_PARALLELISM=false",
        "key_states = key_states.view(batch, seq, heads, dim_128_64)",
    ],
)
def test_names_and_placeholders_are_no_credentials(harmless: str) -> None:
    assert finds_credential(harmless) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hf_AbCdEfGh1234567890IjKlMnOp", "Hugging Face"),
        ("sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x", "OpenAI"),
        ("sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8x", "Anthropic"),
        ("ghp_Ab3dEf6hIj9lMn2pQr5tUv8xYz1234567890", "GitHub"),
        ("github_pat_11ABCDEFG0_Ab3dEf6hIj9lMn2p", "GitHub"),
        ("glpat-Ab3dEf6hIj9lMn2pQr5t", "GitLab"),
        ("AKIAIOSFODNN7QZRTPLK", "AWS"),
        ("AIza" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Cd4Fg7Hj", "Google"),
        ("xoxb-123456789012-abcdefGHIJ", "Slack"),
        ("npm_Ab3dEf6hIj9lMn2pQr5tUv8xYz1234567890", "npm"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27u", "JSON web token"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("WANDB_API_KEY=3f9a1c7e5b2d8f604a9c1e7b3d5f8a2c6e0b4d91", "WANDB_API_KEY"),
        ("password: 'Tr0ub4dor&3xYz9qLm2'"[:40].replace("&", ""), "password"),
        ("postgresql://me:hunter2secret@db.example.org/x", "password in a URL"),
    ],
)
def test_tokens_are_found(text: str, what: str) -> None:
    found = finds_credential(f"before {text} behind")
    assert found is not None and what in found


class TestIndexes:
    """Index pages are complete and true."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = pages.write(tmp_path / "wiki")
        with_indexes(folder)
        return folder

    def found(self, folder: Path, name: str, old: str, new: str) -> list[Finding]:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        found = check(load(folder, builtin=False), now=NOW)
        assert {finding.path for finding in found} <= {path} and found
        return found

    def test_a_missing_index_is_a_note(self, folder: Path) -> None:
        (folder / "_HeuristicIndex.md").unlink()
        (finding,) = check(load(folder, builtin=False), now=NOW)
        assert (finding.rule, finding.severity) == ("index-missing", Severity.NOTE)

    @pytest.mark.parametrize(
        ("old", "new", "rule", "fact"),
        [
            ("✅Principle:Data", "⬜Principle:Data", "index-marks", "the page exists"),
            ("✅Principle:Data_Formatting", "✅Principle:Gone", "index-marks", "does not exist"),
            ("✅Principle:Data_Formatting, ", "", "index-connections", "Data_Formatting"),
            ("✅Heuristic", "✅Environment:Core_Environment, ✅Heuristic", "index-connections",
             "Environment:Core_Environment"),
            ("| QLoRA_Finetuning", "| Lost", "index-rows", "Lost"),
            ("# Workflow Index: wiki", "Index", "index-form", "# Workflow Index"),
            ("| Page | File", "| Seite | Datei", "index-form", "Page, File"),
        ],
    )  # fmt: skip
    def test_indexes_that_are_not_true(
        self, folder: Path, old: str, new: str, rule: str, fact: str
    ) -> None:
        found = self.found(folder, "_WorkflowIndex.md", old, new)
        assert any(f.rule == rule and fact in f"{f.message} {f.instead}" for f in found)
        assert all(finding.fixable for finding in found)

    def test_notes_and_the_name_of_an_index_are_kept(self, folder: Path) -> None:
        path = folder / "_WorkflowIndex.md"
        text = path.read_text(encoding="utf-8")
        text = text.replace("Index: wiki", "Index: my repository")
        text = text.replace("A process that fine-tunes a quantized model with adapters.", "Ours")
        path.write_text(text, encoding="utf-8")
        indexes.write(load(folder, builtin=False))
        assert path.read_text(encoding="utf-8") == text
