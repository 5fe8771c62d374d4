"""Pages with one fault each: what is changed in a good page, the rule that it breaks, a fact."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.knowledge import pages

HEURISTIC = "heuristics/Gradient_Checkpointing.md"
WORKFLOW = "workflows/QLoRA_Finetuning.md"
ENVIRONMENT = "environments/Core_Environment.md"
PRINCIPLE = "principles/Adapter_Training.md"
IMPLEMENTATION = "implementations/Trainer_Train.md"


@dataclass(frozen=True)
class Broken:
    """A fault: in ``path``, ``old`` becomes ``new``."""

    rule: str
    path: str
    old: str
    new: str
    fact: str
    """What the message or the advice states."""
    also: frozenset[str] = field(default_factory=frozenset)
    """Rules that the same fault breaks."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.new.strip()[:40] or 'removed'}"


def _broken(rule: str, path: str, old: str, new: str, fact: str, *also: str) -> Broken:
    return Broken(rule, path, old, new, fact, frozenset(also))


TOKEN = "q7Rk2LmXv9TzB4wYc8NdPe3HsJ6uGaFt"

REASONING, RELATED = (
    "== Reasoning ==" + pages.HEURISTIC.partition("== Reasoning ==")[2].partition("== Rel")[0],
    "== Related Pages ==" + pages.HEURISTIC.partition("== Related Pages ==")[2],
)

BROKEN = [
    # files
    _broken("header-name", HEURISTIC, "{| class", "# Heuristic: Other_Name\n{| class",
            "Other_Name", "newer-dialect"),
    _broken("newer-dialect", HEURISTIC, "{| class", "# Heuristic: Gradient_Checkpointing\n{| class",
            "first line"),
    _broken("newer-dialect", HEURISTIC, "[[uses_heuristic::Implementation",
            "[[used_by::Implementation", "used_by"),
    _broken("unclosed", IMPLEMENTATION, "Trainer(model).train()\n```", "Trainer(model).train()\n",
            "block of code", "section-missing", "forward-missing"),
    _broken("unclosed", HEURISTIC, 'issues/1"\n-->', 'issues/1"\n', "comment",
            "section-missing", "claim-syntax", "backlink-missing"),
    _broken("unclosed", WORKFLOW, "[Adapter Training]\n}}", "[Adapter Training]\n", "diagram",
            "section-missing", "diagram-syntax", "forward-missing"),
    # metadata
    _broken("metadata-missing", HEURISTIC, '{| class="wikitable" style="float:right; '
            'margin-left:1em; width:300px;"\n|-\n! Know', "! Know", "no metadata table"),
    _broken("metadata-field", HEURISTIC, "[[domain::LLMs]], [[domain::Optimization]]", "none",
            "Domains"),
    _broken("metadata-field", WORKFLOW, "[[last_updated::2026-11-15 10:00 GMT]]", "today",
            "Last Updated"),
    _broken("metadata-field", PRINCIPLE, "* [[source::Paper|Adapters|https://example.org/paper]]",
            "a paper", "Knowledge Sources"),
    _broken("metadata-place", HEURISTIC, "frees 50-60 %", "frees [[domain::LLMs]] 50-60 %",
            "outside the metadata table"),
    _broken("metadata-duplicate", HEURISTIC, "10:00 GMT]]",
            "10:00 GMT]] [[last_updated::2026-11-16 10:00 GMT]]", "second date"),
    _broken("source-type", HEURISTIC, "source::Discussion", "source::Repo", "Experience"),
    _broken("source-type", ENVIRONMENT, "source::Doc", "source::Rumour", "Dockerfile"),
    _broken("source-title", HEURISTIC, "|Out of memory on a card|", "||", "no title"),
    _broken("source-url", HEURISTIC, "card|https://example.org/issues/1", "card|example.org/1",
            "does not begin with https"),
    _broken("source-url", HEURISTIC, "card|https://example.org/issues/1", "card|https://",
            "no host"),
    _broken("source-url", HEURISTIC, "card|https://example.org/issues/1",
            "card|https://example.org/a b", "per cent"),
    _broken("source-url", HEURISTIC, "card|https://example.org/issues/1",
            "card|javascript:alert(1)", "https://"),
    _broken("source-url", HEURISTIC, "card|https://example.org/issues/1",
            "card|https://intranet/wiki", "could reach"),
    _broken("domain-name", HEURISTIC, "domain::Optimization", "domain::Memory & Speed",
            "[[domain::Memory_Speed]]"),
    _broken("date-format", HEURISTIC, "2026-11-15 10:00 GMT", "15.11.2026", "15.11.2026"),
    _broken("date-format", HEURISTIC, "2026-11-15 10:00 GMT", "2026-13-15 10:00 GMT", "2026-13-15"),
    _broken("date-format", HEURISTIC, "10:00 GMT", "10:00 CET", "GMT"),
    _broken("date-future", HEURISTIC, "2026-11-15 10:00 GMT", "2026-12-01 10:00 GMT", "future"),
    # sections
    _broken("section-missing", HEURISTIC, "== Reasoning ==", "", "Reasoning"),
    _broken("section-missing", HEURISTIC, "=== Usage ===\n", "", "Usage"),
    _broken("section-missing", ENVIRONMENT, "== Code Evidence ==\n", "", "Code Evidence"),
    _broken("section-missing", HEURISTIC, "== Reasoning ==", "== Raesoning ==",
            "raesoning", "section-unknown"),
    _broken("section-unknown", HEURISTIC, "== Reasoning ==", "== Resoning ==", "Name it Reasoning",
            "section-missing"),
    _broken("section-unknown", PRINCIPLE, "== Related Pages ==",
            "== History ==\nLong.\n\n== Related Pages ==", "History"),
    _broken("section-empty", HEURISTIC, "Recomputing activations frees 50-60 % of their memory.",
            "", "Overview"),
    _broken("section-empty", HEURISTIC, "Use it when the batch that you need does **not fit** into "
            "memory.", "<!-- later -->", "Usage"),
    _broken("section-empty", ENVIRONMENT, "`setup.py` states the lower bounds.", "",
            "Code Evidence"),
    _broken("section-level", HEURISTIC, "=== Description ===", "== Description ==",
            "=== Description ==="),
    _broken("section-order", HEURISTIC, REASONING + RELATED, RELATED + "\n" + REASONING,
            "Related Pages stands before Reasoning"),
    _broken("section-duplicate", PRINCIPLE, "== Related Pages ==",
            "== Overview ==\nAgain.\n\n== Related Pages ==", "Overview"),
    _broken("heading-syntax", HEURISTIC, "== Reasoning ==", "== Reasoning =", "2 equals signs",
            "section-missing"),
    _broken("heading-syntax", PRINCIPLE, "=== Usage ===", "=== Usage", "0 behind",
            "section-missing"),
    _broken("overview-sentence", HEURISTIC, "of their memory.", "of their memory. It is slower.",
            "2 sentences"),
    _broken("overview-sentence", HEURISTIC, "of their memory.", "of their memory", "dot"),
    _broken("overview-sentence", HEURISTIC, "of their memory.", f"of {'x' * 400}.", "characters"),
    # heuristics
    _broken("insight-field", HEURISTIC, "* **Value:** `True`.\n", "", "Value"),
    _broken("insight-field", HEURISTIC, "* **Trade-off:** A step takes 20-30 % longer.",
            "* **Trade-off:**", "The Trade-off is empty"),
    _broken("insight-order", HEURISTIC, "* **Action:** Set `gradient_checkpointing=True`.\n"
            "* **Value:** `True`.", "* **Value:** `True`.\n* **Action:** Set it.",
            "Value, Action, Trade-off"),
    # workflows
    _broken("steps-missing", WORKFLOW, "=== Step 1: Data Preparation ===\n[[step::Principle:Data_"
            "Formatting]]\nBring the data into the template of the model.\n\n=== Step 2: Adapter "
            "Training ===\n[[step::Principle:Adapter_Training]]\nTrain the adapters only.",
            "Do it.", "no step", "steps-agree"),
    _broken("step-heading", WORKFLOW, "=== Step 2: Adapter Training ===", "=== Train ===",
            "Train", "steps-agree", "diagram-steps"),
    _broken("step-numbers", WORKFLOW, "=== Step 2:", "=== Step 3:", "position 2"),
    _broken("step-link", WORKFLOW, "===\n[[step::Principle:Adapter_Training]]\n", "===\n",
            "Adapter Training", "steps-agree"),
    _broken("steps-agree", WORKFLOW, "* [[step::Principle:Adapter_Training]] - Step 2\n", "",
            "Adapter_Training"),
    _broken("steps-agree", WORKFLOW, "Adapter_Training]] - Step 2", "Adapter_Training]] - Step 4",
            "step 2"),
    _broken("diagram-missing", WORKFLOW, "{{#mermaid:graph TD\n    A[Data Preparation] --> "
            "B[Adapter Training]\n}}", "See the steps.", "no diagram"),
    _broken("diagram-syntax", WORKFLOW, "graph TD", "grahp TD", "grahp"),
    _broken("diagram-syntax", WORKFLOW, "B[Adapter Training]", "B[Adapter Training", "not closed"),
    _broken("diagram-syntax", WORKFLOW, "--> B[Adapter Training]", "-->", "link to nothing"),
    _broken("diagram-syntax", WORKFLOW, "] --> B", "] -> B", "is not a link"),
    _broken("diagram-steps", WORKFLOW, "B[Adapter Training]", "B[Something Else]",
            "Something Else"),
    _broken("diagram-steps", WORKFLOW, " --> B[Adapter Training]", "", "Step 2"),
    _broken("diagram-cycle", WORKFLOW, "B[Adapter Training]\n", "B[Adapter Training] --> A\n",
            "Data Preparation -> Adapter Training -> Data Preparation"),
    # environments
    _broken("system-rows", ENVIRONMENT, "| Disk || 20 GB || for one model\n", "", "Disk"),
    _broken("system-rows", ENVIRONMENT, "| OS || Linux or macOS ||", "| OS || ||",
            "states nothing"),
    _broken("package-constraint", ENVIRONMENT, "* `torch>=2.6`\n", "* `torch>>2.6`\n",
            "torch>>2.6"),
    _broken("package-constraint", ENVIRONMENT, "* `torch>=2.6`\n", "* a recent torch\n",
            "a recent torch"),
    _broken("requirement-unclear", ENVIRONMENT, "NVIDIA GPU with 16 GB VRAM, or CPU",
            "something fast", "something fast"),
    _broken("quick-install", ENVIRONMENT, "```bash\n", "```text\n", "0 blocks of bash"),
    _broken("quick-install", ENVIRONMENT, "```bash\n", "```bash\ntrue\n```\n```bash\n",
            "2 blocks of bash"),
    _broken("credential-name", ENVIRONMENT, "`HF_TOKEN` - read access", "a token with read access",
            "no environment variable"),
    # implementations and tables
    _broken("code-missing", IMPLEMENTATION, "```python\nTrainer(model).train()\n```",
            "Trainer(model).train()", "Usage Examples"),
    _broken("code-missing", IMPLEMENTATION, "```python\nfrom trainers import Trainer\n```",
            "from trainers import Trainer", "Import"),
    _broken("table-missing", ENVIRONMENT, "! Error !! Cause !! Solution",
            "! Error !! Reason !! Solution", "Reason"),
    _broken("table-missing", IMPLEMENTATION, '{| class="wikitable"\n! Name !! Type !! Description\n'
            "|-\n| output || `Output` || Steps and loss\n|}", "The output.", "Outputs"),
    _broken("table-row", IMPLEMENTATION, "| resume || `bool` || Go on", "| resume || `bool`, Go on",
            "2 cells"),
    _broken("table-unclosed", IMPLEMENTATION, "Go on from a checkpoint\n|}",
            "Go on from a checkpoint\n", "no end"),
    # principles
    _broken("principle-implemented",
            PRINCIPLE, "* [[implemented_by::Implementation:Trainer_Train]]",
            "None yet.", "no implementation"),
    # edges
    _broken("link-syntax", PRINCIPLE, "[[implemented_by::Implementation:Trainer_Train]]",
            "[[implemented_by::Implementation:Trainer_Train]", "not closed",
            "principle-implemented"),
    _broken("link-syntax", PRINCIPLE, "low rank.", "low rank]].", "closes no link"),
    _broken("link-syntax", PRINCIPLE, "[[implemented_by::Implementation:Trainer_Train]]",
            "[[implemented_by::Trainer_Train]]", "names no page"),
    _broken("link-syntax", PRINCIPLE, "low rank.", "low [[step::Principle:{x}]] rank.",
            "no link can have"),
    _broken("link-syntax", HEURISTIC, "|Out of memory on a card|https://example.org/issues/1]]",
            "]]", "title or a URL", "source-title", "source-url"),
    _broken("edge-type", PRINCIPLE, "implemented_by::Implementation:",
            "implemented_by::Implementaton:",
            "Write Implementation"),
    _broken("edge-type", PRINCIPLE, "implemented_by::Implementation:", "implemented_by::Tool:",
            "Tool"),
    _broken("edge-legal", PRINCIPLE, "implemented_by::Implementation:",
            "requires_env::Implementation:",
            "requires_env", "principle-implemented"),
    _broken("edge-legal", WORKFLOW, "uses_heuristic::Heuristic:Gradient_Checkpointing",
            "uses_heuristic::Principle:Data_Formatting", "uses_heuristic::Principle",
            "forward-missing"),
    _broken("edge-name", PRINCIPLE, "Implementation:Trainer_Train", "Implementation:Trainer-Train",
            "Trainer_Train", "edge-target"),
    _broken("edge-target", PRINCIPLE, "Implementation:Trainer_Train",
            "Implementation:Trainer_Trains",
            "Write Implementation:Trainer_Train"),
    _broken("edge-target", PRINCIPLE, "Implementation:Trainer_Train", "Implementation:Zebra",
            "tonnage knowledge new implementation Zebra"),
    _broken("edge-duplicate", PRINCIPLE, "* [[implemented_by::Implementation:Trainer_Train]]\n",
            "* [[implemented_by::Implementation:Trainer_Train]]\n" * 2, "already"),
    _broken("edge-self", PRINCIPLE, "Heuristic:Gradient_Checkpointing]]",
            "Heuristic:Gradient_Checkpointing]]\n* [[x::Principle:Adapter_Training]]",
            "itself", "edge-legal"),
    _broken("edge-place", PRINCIPLE, "has a low rank.", "has a low rank, as "
            "[[implemented_by::Implementation:Trainer_Train]] shows.", "Theoretical Basis"),
    _broken("backlink-missing", HEURISTIC, "* [[uses_heuristic::Workflow:QLoRA_Finetuning]]\n", "",
            "Heuristic:Gradient_Checkpointing does not link back to Workflow:QLoRA_Finetuning"),
    _broken("backlink-missing", ENVIRONMENT, "* [[required_by::Implementation:Trainer_Train]]",
            "None.", "Implementation:Trainer_Train"),
    _broken("forward-missing", IMPLEMENTATION, "* [[uses_heuristic::Heuristic:Gradient_"
            "Checkpointing]]", "None.", "Implementation:Trainer_Train does not say"),
    _broken("page-circle", IMPLEMENTATION, "* [[uses_heuristic::Heuristic",
            "* [[step::Principle:Adapter_Training]]\n* [[uses_heuristic::Heuristic",
            "Implementation:Trainer_Train, Principle:Adapter_Training", "edge-legal"),
    # claims
    _broken("claim-syntax", HEURISTIC, "low = -0.6", "low = ", "not TOML"),
    _broken("claim-syntax", HEURISTIC, 'lever = "gradient_checkpointing"\n', "", "lacks lever"),
    _broken("claim-syntax", HEURISTIC, 'quantity = "activation_memory"', 'quantity = "memory"',
            "peak_memory"),
    _broken("claim-syntax", HEURISTIC, "high = -0.5", "high = -0.7", "above high"),
    _broken("claim-syntax", HEURISTIC, "low = -0.6\nhigh = -0.5\n", "", "no range"),
    _broken("claim-syntax", HEURISTIC, "high = -0.5", 'high = -0.5\nwhere = "here"', "where"),
    _broken("claim-syntax", HEURISTIC, "tonnage:claim\n", "tonnage: claim\n",
            "not read as a claim"),
    _broken("claim-syntax", HEURISTIC, "to = true", "to = false", "equal"),
    _broken("claim-source", HEURISTIC, 'source = "https://example.org/issues/1"\n', "", "missing"),
    _broken("claim-range", HEURISTIC, "low = -0.6", "low = -60", "relative changes"),
    # safety
    _broken("credential-value", ENVIRONMENT, "`HF_TOKEN` -", f"`HF_TOKEN=hf_{TOKEN}` -",
            "Hugging Face"),
    _broken("credential-value", IMPLEMENTATION, "Trainer(model)", f'Trainer(model, "sk-{TOKEN}")',
            "OpenAI"),
    _broken("credential-value", IMPLEMENTATION, "Trainer(model)", f'Trainer("ghp_{TOKEN}abcd")',
            "GitHub"),
    _broken("credential-value", HEURISTIC, "computed again.",
            "computed again AKIAIOSFODNN7QZRTPLK.",
            "AWS"),
    _broken("credential-value", ENVIRONMENT, "`setup.py` states",
            f"export MY_API_KEY={TOKEN} states",
            "MY_API_KEY"),
    _broken("credential-value", ENVIRONMENT, "`setup.py` states",
            "pip install --index-url https://me:s3cr3tw0rd@example.org/simple",
            "password in a URL"),
    _broken("html", PRINCIPLE, "has a low rank.", "has a <b>low</b> rank.", "<b>"),
    _broken("html", PRINCIPLE, "has a low rank.", "<script>alert(1)</script>", "<script>"),
    _broken("hidden-character", PRINCIPLE, "a low rank", "a \u202elow rank", "U+202E"),
    _broken("hidden-character", PRINCIPLE, "a low rank", "a lo\u200bw rank", "U+200B"),
]  # fmt: skip
