"""What is a workload, and what is told about one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from probes import Workload
from probes.errors import InputError
from probes.workloads.interface import REQUIRED, check_interface


class Complete:
    def space(self) -> Any: ...

    def model(self, config: Any) -> Any: ...

    def batches(self, config: Any, batch_size: int) -> Any: ...

    def loss(self, model: Any, batch: Any) -> Any: ...


def test_four_methods_make_a_workload() -> None:
    check_interface(Complete(), "train.py:Complete")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_method_is_named_with_what_it_returns(name: str) -> None:
    lacking = type("Lacking", (Complete,), {name: None})()
    with pytest.raises(InputError, match=f"train.py:Lacking is not a workload.*lacks:\n  {name}"):
        check_interface(lacking, "train.py:Lacking")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_method_that_is_only_the_base_classs_is_missing_too(name: str) -> None:
    """Else a probe would end in NotImplementedError, which means something else."""
    methods = {n: f for n, f in vars(Complete).items() if n in REQUIRED and n != name}
    with pytest.raises(InputError, match=f"lacks:\n  {name}"):
        check_interface(type("Sub", (Workload,), methods)(), "train.py:Sub")
