"""What a run saved is loaded as it was trained: adapters on their base, or all weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from finetuning.evaluating import evaluate  # noqa: E402
from finetuning.evaluation.generation import TrainedModel  # noqa: E402
from finetuning.evaluation.loading import BASE, load_trained  # noqa: E402
from finetuning.run_folder import RunFolder  # noqa: E402
from finetuning.settings.files import write_settings  # noqa: E402
from finetuning.settings.presets import preset  # noqa: E402
from probes.errors import InputError  # noqa: E402
from tests.finetuning import tiny  # noqa: E402

PAIR = ("Head: (3,4)\n", "Conclusion: The move is: UP")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tokens = tiny.tokenizer()
    tiny.llama(tokens).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def run_of(folder: Path, base: Path, name: str) -> RunFolder:
    run = RunFolder(folder)
    folder.mkdir(exist_ok=True)
    write_settings(preset(name).settings(str(base), {"training.max_length": 128}), run.settings)
    return run


def nll(model: Any) -> float:
    [(found, _)] = model.nll([PAIR])
    return float(found)


def test_an_adapter_is_put_on_its_base_model(tmp_path: Path, base: Path) -> None:
    run = run_of(tmp_path / "out", base, "quick_lora")
    with pytest.raises(InputError, match="no trained model yet"):
        load_trained(run.path)
    before = load_trained(run.path, baseline=BASE)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear")
    adapted = peft.get_peft_model(load_trained(run.path, baseline=BASE).model, config)
    tiny.teach(adapted, before.tokenizer, [PAIR], steps=20)
    adapted.save_pretrained(run.model)
    before.tokenizer.save_pretrained(run.model)

    trained = load_trained(run.path)
    assert nll(trained) == pytest.approx(nll(TrainedModel(adapted, before.tokenizer)))
    assert nll(trained) < nll(before) - 1
    assert not trained.model.training
    assert len(trained.generate([PAIR[0]], max_new_tokens=3)) == 1
    assert nll(load_trained(run.path, baseline=str(base))) == pytest.approx(nll(before))


def test_all_weights_are_loaded_from_the_run(tmp_path: Path, base: Path) -> None:
    run = run_of(tmp_path / "out", base, "full_small")
    model = load_trained(run.path, baseline=BASE)
    before = nll(model)
    tiny.teach(model.model, model.tokenizer, [PAIR], steps=20)
    model.model.save_pretrained(run.model)
    model.tokenizer.save_pretrained(run.model)
    assert nll(load_trained(run.path)) == pytest.approx(nll(model))
    assert nll(load_trained(run.path)) < before


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a fine-tuning run"):
        load_trained(tmp_path)


def test_a_baseline_that_cannot_be_loaded_is_named(tmp_path: Path, base: Path) -> None:
    run = run_of(tmp_path / "out", base, "quick_lora")
    run.model.mkdir()
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "nowhere"), str(tmp_path / "empty")):
        with pytest.raises(InputError, match=f"--baseline {name}"):
            load_trained(run.path, baseline=name)
        with pytest.raises(InputError, match=f"--baseline {name}"):
            evaluate(run.path, ["snake"], baseline=name)  # before the run itself is loaded
