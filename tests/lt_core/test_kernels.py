"""Settings of CUDA, which torch takes where there is no GPU too."""

import warnings

import pytest
import torch

from lt_core.kernels import deterministic

CUDA = torch.device("cuda")


def settings() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        cudnn.deterministic,
        cudnn.benchmark,
        cudnn.conv.fp32_precision,
        torch.backends.cuda.matmul.fp32_precision,
    )


@pytest.mark.parametrize(
    ("precision", "of_products"),
    [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee"), ("auto", "ieee")],
)
def test_on_a_gpu_kernels_are_deterministic_and_fp32_is_what_it_says(precision, of_products):
    with deterministic(CUDA, precision):
        assert settings() == (True, True, False, True, False, of_products, of_products)


def test_afterwards_everything_is_as_it_was_whatever_happened():
    before = settings()
    assert before[0] is False and before[2] is True and before[5] != before[6]
    with deterministic(CUDA, "fp32"):
        pass
    assert settings() == before
    with pytest.raises(KeyError), deterministic(CUDA, "tf32"):
        raise KeyError
    assert settings() == before


def test_a_cpu_has_nothing_to_be_set():
    before = settings()
    with deterministic(torch.device("cpu"), "tf32") as lacking:
        assert settings() == before
        torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
    assert lacking == set()


def test_what_has_no_deterministic_kernel_is_told_each_time_and_not_warned_of():
    for _ in range(2):
        with deterministic(CUDA, "fp32") as lacking:
            for _ in range(2):
                torch.zeros(4).put_(torch.tensor([0]), torch.ones(1))
        assert lacking == {"put_"}


def test_other_warnings_come_through():
    with pytest.warns(UserWarning, match="of the network"), deterministic(CUDA, "fp32") as lacking:
        warnings.warn("of the network", stacklevel=1)
    assert lacking == set()
