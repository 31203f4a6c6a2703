"""Whole notebooks of unit 03, through normalising and judging: right answers in odd styles, and tricks of all kinds."""

import json
from pathlib import Path

import nbformat
import pytest

from autograder.checks import checks_of
from autograder.intake.normalise import normalise
from autograder.judging.judge_submission import judge_submission

UNIT = "03_vae"
RELEASE = Path(__file__).parents[3] / "assignments" / UNIT / f"{UNIT}.ipynb"

DRAW = '@implements("reparameterize")\ndef reparameterize(mean, log_std, noise):\n    '
SCORE = '@implements("bernoulli_log_likelihood")\ndef bernoulli_log_likelihood(logits, x):\n    '
LOSS = '@implements("negative_elbo")\ndef negative_elbo(log_likelihood, kl, beta=1.0):\n    '
BOUND = '@implements("importance_weighted_bound")\ndef importance_weighted_bound(log_weights):\n    '
STEP = '@implements("vae_training_step")\ndef vae_training_step(model, optimizer, x):\n    '

RIGHT = {
    "reparameterize": DRAW + "return mean + log_std.exp() * noise",
    "bernoulli_log_likelihood": SCORE
    + "per_pixel = x * logits - torch.nn.functional.softplus(logits)\n    return per_pixel.flatten(1).sum(1)",
    "negative_elbo": LOSS + "return (beta * kl.sum(1) - log_likelihood).mean()",
    "importance_weighted_bound": BOUND
    + "count = torch.tensor(float(len(log_weights)), dtype=log_weights.dtype)\n"
    + "    return torch.logsumexp(log_weights, 0) - count.log()",
    "vae_training_step": STEP
    + "optimizer.zero_grad()\n    elbo = model(x)\n    loss = (elbo.kl.sum(1) - elbo.log_likelihood).mean()\n"
    + "    loss.backward()\n    optimizer.step()\n    return loss.item()",
}
FULL = {check.component: check.points for check in checks_of(UNIT)}

ODD_BUT_RIGHT = {
    "functions that are no functions": {
        "reparameterize": 'implements("reparameterize")(lambda mean, log_std, noise: mean + log_std.exp() * noise)',
        "bernoulli_log_likelihood": "import functools\n\ndef twice(function):\n    @functools.wraps(function)\n"
        "    def inner(*args, **kwargs):\n        return function(*args, **kwargs)\n    return inner\n\n"
        + RIGHT["bernoulli_log_likelihood"].replace("\ndef", "\n@twice\n@twice\ndef", 1),
        "negative_elbo": "from functools import partial\n\ndef scaled(scale, log_likelihood, kl, beta=1.0):\n"
        "    return scale * (beta * kl.sum(1) - log_likelihood).mean()\n\n"
        'implements("negative_elbo")(partial(scaled, 1))',
        "importance_weighted_bound": "class Bound:\n    def __call__(self, log_weights):\n"
        "        top = log_weights.max(0).values.detach()\n"
        "        return (log_weights - top).exp().mean(0).log() + top\n\n"
        'implements("importance_weighted_bound")(Bound())',
        "vae_training_step": STEP + "raise RuntimeError('first try')\n\n" + RIGHT["vae_training_step"],
    },
    "whatever notebooks are full of": {
        "reparameterize": "%%time\n" + DRAW + "return (z := mean + log_std.exp() * noise)",
        "bernoulli_log_likelihood": "%matplotlib inline\n!ls\n%load_ext autoreload\n%autoreload 2\n"
        + SCORE
        + "total = torch.zeros(len(x), dtype=x.dtype)\n"
        "    for row in range(len(x)):\n        l, p = logits[row].reshape(-1), x[row].reshape(-1)\n"
        "        total[row] = (p * l - torch.nn.functional.softplus(l)).sum()\n    return total",
        "negative_elbo": "CALLS = 0\n" + LOSS + "global CALLS\n    CALLS += 1\n    print('call', CALLS)\n"
        "    return (beta * kl.sum(-1)).mean() - log_likelihood.mean()\n\ncheck('negative_elbo')",
        "importance_weighted_bound": "import numpy as np\n" + BOUND + "double = log_weights.double()\n"
        "    return (torch.logsumexp(double, 0) - np.log(len(double))).to(log_weights.dtype)\n\n1 / 0",
        "vae_training_step": "import warnings\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass\n"
        "device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
        + RIGHT["vae_training_step"].replace("elbo = model(x)", "warnings.warn('x')\n    elbo = model(x.to(device))"),
    },
}


def handed_in(*own_cells, **answers):
    """The released notebook with answers filled in, and cells of the student's own at its top, as a file."""
    notebook = json.loads(RELEASE.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = (RIGHT | answers).get(grade_id, cell["source"])
    own = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in own_cells]
    return json.dumps({**notebook, "cells": own + notebook["cells"]}).encode()


@pytest.fixture
def points(edition):
    """The points of each component of a notebook."""
    release = nbformat.read(RELEASE, as_version=4)

    def judged(data):
        verdict = judge_submission(normalise(data, release), checks_of(UNIT), edition, len)
        return {result.name: result.points for result in verdict.components}

    return judged


@pytest.mark.parametrize("style", ODD_BUT_RIGHT)
def test_right_answers_get_full_marks_however_odd(points, style):
    assert points(handed_in(**ODD_BUT_RIGHT[style])) == FULL


def test_right_answers_get_full_marks_with_their_helpers_in_other_cells(points):
    helpers = "!pip --version\nimport math\nfrom torch.nn import functional as F\nROOT = math.sqrt(4)\n1 / 0"
    more = "def spread(log_std):\n    return (log_std * ROOT).exp().sqrt()\n\nwhile True:\n    break"
    answers = {
        "reparameterize": DRAW.partition("\n")[2] + "return mean + spread(log_std) * noise",
        "bernoulli_log_likelihood": RIGHT["bernoulli_log_likelihood"].replace("torch.nn.functional", "F"),
    }
    assert points(handed_in(helpers, more, **answers)) == FULL


PRETENDERS = {
    "reparameterize": "class Liar(torch.Tensor):\n    shape = property(lambda self: torch.Size([3, 4]))\n"
    "    detach = cpu = clone = lambda self: self\n\n" + DRAW + "return mean.as_subclass(Liar)",
    "bernoulli_log_likelihood": SCORE + "return torch.zeros(len(x)).to_sparse()",
    "negative_elbo": LOSS + "return torch.quantize_per_tensor(torch.zeros(()), 1.0, 0, torch.qint8)",
    "importance_weighted_bound": BOUND + "return torch.zeros(1).expand(10**7, 10**7)",
}
KILLERS = {
    "reparameterize": "import os\n" + DRAW + "os.kill(os.getppid(), 9)\n    os.kill(-1, 9)\n    return mean",
    "bernoulli_log_likelihood": SCORE + "yield torch.zeros(len(x))",
    "negative_elbo": LOSS
    + "class Silent(BaseException):\n        def __str__(self): raise SystemExit\n    raise Silent",
    "importance_weighted_bound": "import inspect\n"
    + BOUND
    + "for frame in inspect.stack():\n        for value in frame.frame.f_locals.values():\n"
    "            if hasattr(value, 'expected'): return value.expected.outputs['result'].array\n    return None",
}


@pytest.mark.parametrize("tricks", [PRETENDERS, KILLERS], ids=["pretenders", "killers"])
def test_tricks_earn_nothing_and_cost_the_honest_answer_nothing(points, tricks):
    assert points(handed_in(**tricks)) == FULL | dict.fromkeys(tricks, 0)
