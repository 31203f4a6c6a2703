import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from avae_lib.logarithms import log_mean_exp

entries = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8)


@given(entries)
def test_equals_scipy_for_entries_of_any_size(values):
    expected = logsumexp(np.array(values)) - np.log(len(values))
    assert log_mean_exp(torch.tensor(values), 0).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(entries, st.floats(-1e4, 1e4, width=32))
def test_adding_a_constant_to_every_entry_adds_it_to_the_result(values, shift):
    x = torch.tensor(values, dtype=torch.float64)
    assert torch.allclose(log_mean_exp(x + shift, 0), log_mean_exp(x, 0) + shift, atol=1e-8)


@given(entries)
def test_lies_between_mean_and_maximum(values):
    x = torch.tensor(values, dtype=torch.float64)
    result = log_mean_exp(x, 0)
    assert x.mean() - 1e-8 <= result <= x.max() + 1e-8


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_removes_the_dimension_it_averages(dim):
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = logsumexp(x.numpy(), axis=dim) - np.log(x.shape[dim])
    assert np.allclose(log_mean_exp(x, dim).numpy(), expected)


def test_gradient_is_a_softmax():
    x = torch.tensor([1000.0, 1001.0, -3000.0], dtype=torch.float64, requires_grad=True)
    log_mean_exp(x, 0).backward()
    assert torch.allclose(x.grad, torch.tensor([1, np.e, 0], dtype=torch.float64) / (1 + np.e))
