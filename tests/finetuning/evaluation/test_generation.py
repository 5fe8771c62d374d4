"""What a model writes and how likely it finds a text: exact, whatever the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from finetuning.evaluation.generation import IGNORED, TrainedModel  # noqa: E402
from tests.finetuning import tiny  # noqa: E402

PAIRS = [
    ("Head: (3,4)\n", "Conclusion: The move is: UP"),
    ("Head: (0,1)\nApple: (5,4)\nBody: (0,2) (0,3)\n", "Conclusion: The move is: RIGHT"),
    ("Apple\n", "LEFT"),
    ("Which move is next: UP, DOWN, LEFT or RIGHT?\n", "The apple lies to the left. LEFT"),
]
PROMPTS = [prompt for prompt, _ in PAIRS]
BUILDERS = [tiny.llama, tiny.gpt2]


@pytest.fixture(scope="module")
def tokens() -> Any:
    return tiny.tokenizer()


def one_by_one(model: Any, ids: list[int], stop: int, limit: int) -> list[int]:
    """Greedy decoding without cache, padding or batch: the definition."""
    made: list[int] = []
    while len(made) < limit:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids + made])).logits[0, -1]
        made.append(int(logits.argmax()))
        if made[-1] == stop:
            break
    return made


@pytest.mark.parametrize("build", BUILDERS)
def test_a_batch_of_unequal_prompts_is_answered_as_each_prompt_alone(
    build: Callable[..., Any], tokens: Any
) -> None:
    model = build(tokens)
    tiny.teach(model, tokens, PAIRS[:2], steps=15)  # answers of different lengths
    answers = TrainedModel(model, tokens, batch_size=3).answers(PROMPTS, max_new_tokens=12)
    for prompt, answer in zip(PROMPTS, answers):
        ids = one_by_one(model, tokens(prompt)["input_ids"], tokens.eos_token_id, 12)
        assert answer.tokens == len(ids)
        assert answer.stopped == (ids[-1] == tokens.eos_token_id)
        assert answer.text == tokens.decode(ids, skip_special_tokens=True)


def test_an_answer_ends_at_the_stop_token_which_is_not_the_pad_token(tokens: Any) -> None:
    model = tiny.llama(tokens)
    tiny.teach(model, tokens, PAIRS)
    trained = TrainedModel(model, tokens)
    answers = trained.answers(PROMPTS, max_new_tokens=40)
    assert [answer.text for answer in answers] == [completion for _, completion in PAIRS]
    assert all(answer.stopped for answer in answers)
    assert trained.generate(PROMPTS, max_new_tokens=40) == [completion for _, completion in PAIRS]


@pytest.mark.parametrize("build", BUILDERS)
def test_the_likelihood_of_a_completion_is_that_of_its_own_tokens(
    build: Callable[..., Any], tokens: Any
) -> None:
    model = build(tokens)
    scores = TrainedModel(model, tokens, batch_size=3).nll(PAIRS)
    for (prompt, completion), (nll, count) in zip(PAIRS, scores):
        context = tokens(prompt)["input_ids"]
        ids = tokens(prompt + completion + tiny.STOP)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()
        by_hand = sum(
            math.log(float(logits[i - 1].exp().sum())) - float(logits[i - 1, ids[i]])
            for i in range(len(context), len(ids))
        )
        assert count == len(ids) - len(context)
        assert nll == pytest.approx(by_hand, rel=1e-4)


def test_the_labels_are_those_that_trl_trains_on(tokens: Any, tmp_path: Any) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in PAIRS]
    rows.append({"prompt": "The move is: U", "completion": "P"})  # one token across the border
    model = tiny.llama(tokens)
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path), completion_only_loss=True, use_cpu=True, report_to=[]
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokens,
    )
    trained = TrainedModel(model, tokens)
    for row, ours in zip(trainer.train_dataset, rows):
        ids, labels = trained.labelled(ours["prompt"], ours["completion"])
        assert (ids, labels) == (row["input_ids"], row["labels"])
        assert IGNORED in labels


def test_the_mode_of_the_model_is_restored(tokens: Any) -> None:
    model = tiny.llama(tokens)
    trained = TrainedModel(model, tokens)
    for training in (True, False):
        model.train(training)
        trained.generate(PROMPTS[:1], max_new_tokens=1)
        trained.nll(PAIRS[:1])
        assert model.training is training


def test_gradients_after_an_evaluation_are_those_of_before(tokens: Any) -> None:
    model = tiny.llama(tokens)
    trained = TrainedModel(model, tokens)
    ids = torch.tensor([trained.labelled(*PAIRS[0])[0]])

    def gradients() -> Sequence[Any]:
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    before = gradients()
    trained.generate(PROMPTS, max_new_tokens=3)
    trained.nll(PAIRS)
    assert all(torch.equal(a, b) for a, b in zip(before, gradients()))


@pytest.mark.parametrize("build", BUILDERS)
def test_an_answer_ends_where_the_context_ends(build: Callable[..., Any], tokens: Any) -> None:
    prompt = PROMPTS[1]
    length = len(tokens(prompt)["input_ids"])
    trained = TrainedModel(build(tokens, context=length + 3), tokens)
    trained.model.generation_config.eos_token_id = None
    cut, full = trained.answers([prompt, "A"], max_new_tokens=8)
    assert cut.tokens <= 3
    assert full.tokens <= 8
    none_left = TrainedModel(build(tokens, context=length), tokens)
    assert none_left.answers([prompt], max_new_tokens=8)[0].tokens == 0
    assert none_left.nll([(prompt, "UP")]) == [(0.0, 0)]


def test_an_empty_prompt_is_answered(tokens: Any) -> None:
    trained = TrainedModel(tiny.llama(tokens), tokens)
    assert trained.answers([""], max_new_tokens=2)[0].tokens >= 1


def test_a_batch_that_does_not_fit_is_divided(tokens: Any) -> None:
    model = tiny.llama(tokens)
    expected = TrainedModel(model, tokens, batch_size=1).nll(PAIRS)
    trained = TrainedModel(model, tokens, batch_size=4)
    sizes: list[int] = []
    score = trained._scored

    def scarce(rows: Any) -> Any:
        sizes.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("scripted")
        return score(rows)

    trained._scored = scarce  # type: ignore[method-assign]
    for (nll, count), (whole, tokens_in_it) in zip(trained.nll(PAIRS), expected, strict=True):
        assert (nll, count) == (pytest.approx(whole), tokens_in_it)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_a_batch_size_below_one_is_refused(tokens: Any) -> None:
    with pytest.raises(ValueError, match="batch_size=0"):
        TrainedModel(tiny.llama(tokens), tokens, batch_size=0)
