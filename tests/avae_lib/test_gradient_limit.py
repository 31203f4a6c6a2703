"""When an update is left out."""

import math

import pytest
import torch

from avae_lib.training.skipped_updates import should_skip_update


@pytest.mark.parametrize(
    ("loss", "norm", "threshold", "skipped"),
    [
        (1.0, 3.0, 4.0, False),
        (1.0, 4.0, 4.0, True),
        (1.0, 5.0, 4.0, True),
        (-1e9, 5.0, None, False),
        (1.0, 0.0, 0.0, True),
        (1.0, 1e30, math.inf, False),
        (math.nan, 1.0, None, True),
        (math.inf, 1.0, 4.0, True),
        (-math.inf, 1.0, 4.0, True),
        (1.0, math.nan, None, True),
        (1.0, math.inf, None, True),
        (1.0, math.nan, 4.0, True),
    ],
)
@pytest.mark.parametrize("as_tensor", [False, True])
def test_decision(loss, norm, threshold, skipped, as_tensor):
    threshold = torch.tensor(threshold) if as_tensor and threshold is not None else threshold
    decision = should_skip_update(torch.tensor(loss), torch.tensor(norm), threshold)
    assert (decision.dtype, decision.shape) == (torch.bool, ())
    assert decision.item() is skipped


@pytest.mark.parametrize("threshold", [None, 4.0, 0.0])
def test_the_host_never_reads_a_number(threshold):
    """Tensors on the meta device have no numbers: reading one is an error."""
    loss, norm = torch.empty((), device="meta"), torch.empty((), device="meta")
    decision = should_skip_update(loss, norm, threshold)
    assert decision.device.type == "meta" and decision.dtype == torch.bool
