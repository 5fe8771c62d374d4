"""What a claim changes."""

from typing import Any

import pytest

from knowledge.claims import Claim, Quantity


def claim(lever: str, before: Any, after: Any) -> Claim:
    return Claim(
        page="Heuristic:A",
        id="b",
        text="less",
        lever=lever,
        before=before,
        after=after,
        quantity=Quantity.PEAK_MEMORY,
        low=-0.6,
        high=None,
    )


def test_a_claim_about_one_lever_changes_it_alone() -> None:
    before, after = claim("precision", "fp32", "bf16").changes

    assert (before, after) == ({"precision": "fp32"}, {"precision": "bf16"})


def test_levers_joined_by_a_plus_change_together() -> None:
    before, after = claim(
        "gradient_checkpointing+precision", [False, "fp32"], [True, "bf16"]
    ).changes

    assert before == {"gradient_checkpointing": False, "precision": "fp32"}
    assert after == {"gradient_checkpointing": True, "precision": "bf16"}


@pytest.mark.parametrize(
    ("before", "after"), [("fp32", ["bf16", True]), (["fp32"], ["bf16", True])]
)
def test_several_levers_need_a_value_each(before: Any, after: Any) -> None:
    with pytest.raises(ValueError):
        _ = claim("precision+gradient_checkpointing", before, after).changes
