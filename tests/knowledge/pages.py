"""Pages that tests read, one of each type; together they are a library without a finding."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from knowledge.library import Library
from knowledge.model import Page, PageType
from knowledge.parsing import parse

TYPE = PageType.HEURISTIC
"""For pages whose type does not matter."""

METADATA = """{{| class="wikitable" style="float:right; margin-left:1em; width:300px;"
|-
! Knowledge Sources
|
* [[source::{source}|{title}|https://example.org/{path}]]
|-
! Domains
| [[domain::LLMs]], [[domain::Optimization]]
|-
! Last Updated
| [[last_updated::2026-11-15 10:00 GMT]]
|}}

"""

HEURISTIC = (
    METADATA.format(source="Discussion", title="Out of memory on a card", path="issues/1")
    + """== Overview ==
Recomputing activations frees 50-60 % of their memory.

=== Description ===
Activations are not kept for the backward pass; they are computed again.

=== Usage ===
Use it when the batch that you need does **not fit** into memory.

== The Insight (Rule of Thumb) ==
* **Action:** Set `gradient_checkpointing=True`.
* **Value:** `True`.
* **Trade-off:** A step takes 20-30 % longer.
* **Compatibility:** Needs `use_cache=False`.

<!-- tonnage:claim
id = "activation-memory"
text = "50-60 % less activation memory"
lever = "gradient_checkpointing"
from = false
to = true
quantity = "activation_memory"
low = -0.6
high = -0.5
source = "https://example.org/issues/1"
-->

== Reasoning ==
Activations grow with batch, length and width; see `[[step::Principle:Not_A_Link]]`.

== Related Pages ==
=== Used By ===
* [[uses_heuristic::Implementation:Trainer_Train]]
* [[uses_heuristic::Principle:Adapter_Training]]
* [[uses_heuristic::Workflow:QLoRA_Finetuning]]
"""
)

WORKFLOW = (
    METADATA.format(source="Repo", title="Example scripts", path="repo")
    + """== Overview ==
A process that fine-tunes a quantized model with adapters.

=== Description ===
From raw text to saved weights.

=== Usage ===
Use it when a model of 7B parameters has to be trained on one card.

== Execution Steps ==
=== Step 1: Data Preparation ===
[[step::Principle:Data_Formatting]]
Bring the data into the template of the model.

=== Step 2: Adapter Training ===
[[step::Principle:Adapter_Training]]
Train the adapters only.

== Execution Diagram ==
{{#mermaid:graph TD
    A[Data Preparation] --> B[Adapter Training]
}}

== Related Pages ==
=== Execution Steps ===
* [[step::Principle:Data_Formatting]] - Step 1
* [[step::Principle:Adapter_Training]] - Step 2

=== Tips and Tricks ===
* [[uses_heuristic::Heuristic:Gradient_Checkpointing]]
"""
)

ENVIRONMENT = (
    METADATA.format(source="Doc", title="Installing", path="install")
    + """== Overview ==
What the training of adapters needs from a machine.

=== Description ===
Python, torch and peft on a card of NVIDIA or on the CPU.

=== Usage ===
Use it before the first run on a new machine.

== System Requirements ==
{| class="wikitable"
! Category !! Requirement !! Notes
|-
| OS || Linux or macOS || Windows in WSL
|-
| Hardware || NVIDIA GPU with 16 GB VRAM, or CPU || slow on the CPU
|-
| Disk || 20 GB || for one model
|}

== Dependencies ==
=== System Packages ===
* `git`

=== Python Packages ===
* `torch>=2.6`
* `peft>=0.15,<1` - the adapters
* `auto-gptq>=0.5.0` or `gptqmodel>=2.0.0` + `optimum>=1.24.0` (optional)

== Credentials ==
* `HF_TOKEN` - read access to the models

== Quick Install ==
```bash
python -m pip install "torch>=2.6" "peft>=0.15,<1"
```

== Code Evidence ==
`setup.py` states the lower bounds.

== Common Errors ==
{| class="wikitable"
! Error !! Cause !! Solution
|-
| `CUDA out of memory` || The batch is too large || Take a smaller one
|}

== Compatibility Notes ==
* **CPU:** no quantization.

== Related Pages ==
=== Required By ===
* [[required_by::Implementation:Trainer_Train]]
"""
)

PRINCIPLE = (
    METADATA.format(source="Paper", title="Adapters", path="paper")
    + """== Overview ==
Small matrices are trained in place of the large ones.

=== Description ===
The weights stay as they are; a product of two small matrices is added.

=== Usage ===
Use it when full fine-tuning does not fit.

== Theoretical Basis ==
The change of a weight has a low rank.

== Related Pages ==
=== Implemented By ===
* [[implemented_by::Implementation:Trainer_Train]]

=== Tips and Tricks ===
* [[uses_heuristic::Heuristic:Gradient_Checkpointing]]
"""
)

SECOND_PRINCIPLE = (
    METADATA.format(source="Blog", title="Templates", path="blog")
    + """== Overview ==
Raw records become texts in the template of a model.

=== Description ===
Each record is one conversation.

=== Usage ===
Use it before any fine-tuning.

== Theoretical Basis ==
A model continues what it has seen in training.

== Related Pages ==
=== Implemented By ===
* [[implemented_by::Implementation:Trainer_Train]]
"""
)

IMPLEMENTATION = (
    METADATA.format(source="Repo", title="Trainer", path="trainer")
    + """== Overview ==
`Trainer.train` runs the training loop.

=== Description ===
It steps through the data for some epochs.

=== Usage ===
Use it in place of a loop of your own.

== Code Reference ==
=== Source Location ===
* **File:** `trainer.py`

=== Signature ===
```python
def train(self, resume: bool = False) -> Output: ...
```

=== Import ===
```python
from trainers import Trainer
```

== I/O Contract ==
=== Inputs ===
{| class="wikitable"
! Name !! Type !! Description
|-
| resume || `bool` || Go on from a checkpoint
|}

=== Outputs ===
{| class="wikitable"
! Name !! Type !! Description
|-
| output || `Output` || Steps and loss
|}

== Usage Examples ==
```python
Trainer(model).train()
```

== Related Pages ==
=== Environment ===
* [[requires_env::Environment:Core_Environment]]

=== Tips and Tricks ===
* [[uses_heuristic::Heuristic:Gradient_Checkpointing]]
"""
)

WORKFLOW_FILE = "workflows/QLoRA_Finetuning.md"
IMPLEMENTATION_FILE = "implementations/Trainer_Train.md"
PRINCIPLE_FILE = "principles/Adapter_Training.md"

FILES = {
    "heuristics/Gradient_Checkpointing.md": HEURISTIC,
    "workflows/QLoRA_Finetuning.md": WORKFLOW,
    "environments/Core_Environment.md": ENVIRONMENT,
    "principles/Adapter_Training.md": PRINCIPLE,
    "principles/Data_Formatting.md": SECOND_PRINCIPLE,
    "implementations/Trainer_Train.md": IMPLEMENTATION,
}
"""By path in the folder of the library."""


FOLDER = Path("/wiki")


@cache
def _page(name: str, text: str) -> Page:
    return parse(text, path=FOLDER / name)


def library(files: dict[str, str] | None = None) -> Library:
    """A library in memory, without indexes; the pages have paths below ``FOLDER``."""
    found = [_page(name, text) for name, text in (FILES if files is None else files).items()]
    return Library(pages={page.full_name: page for page in found})


def changed(name: str, text: str) -> Library:
    """The good library with another text for one page."""
    return library({**FILES, name: text})


def write(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Write pages below ``folder``, which is returned."""
    for name, text in (FILES if files is None else files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
    return folder
