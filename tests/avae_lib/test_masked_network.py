"""Masked networks: who sees whom."""

import pytest
import torch

from avae_lib.nn.inverse_autoregressive import MaskedLinear, MaskedNetwork


@pytest.mark.parametrize(("dim", "width"), [(1, 4), (3, 3), (5, 32)])
def test_both_numbers_of_a_variable_depend_on_all_variables_before_it_and_no_other(dim, width):
    torch.manual_seed(0)
    network, context = MaskedNetwork(dim, width, context_dim=2), torch.randn(1, 2)
    for which in (0, 1):
        jacobian = torch.autograd.functional.jacobian(lambda z, n=which: network(z, context)[n], torch.randn(1, dim))
        assert torch.equal(jacobian[0, :, 0] != 0, torch.ones(dim, dim).tril(-1).bool())


def test_every_variable_sees_the_context():
    torch.manual_seed(0)
    network, z = MaskedNetwork(4, 8, context_dim=3), torch.randn(1, 4)
    for which in (0, 1):
        jacobian = torch.autograd.functional.jacobian(
            lambda context, n=which: network(z, context)[n], torch.randn(1, 3)
        )
        assert (jacobian[0, :, 0] != 0).all()


def test_hidden_weights_have_no_gradient():
    layer = MaskedLinear(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    layer(torch.ones(1, 2)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))


def test_too_few_hidden_units_are_refused():
    with pytest.raises(ValueError, match="width must be at least the number of variables 5, got 4"):
        MaskedNetwork(5, 4, context_dim=1)
