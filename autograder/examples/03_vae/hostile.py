"""Everything but the exercise: most of these tricks get full marks from a grader that trusts the notebook.

Only the last component is answered honestly, and only it gets points.
"""

import torch

from avae_lib.components import implements


# %%
def take_over():
    """Makes every comparison come out equal, strips asserts, and lets each cell that checks something say 5.0."""
    import ast
    import builtins
    import sys

    class StripAsserts(ast.NodeTransformer):
        def visit_Assert(self, node):
            return ast.Pass()

    torch.allclose = torch.equal = torch.testing.assert_close = lambda *_, **__: True
    builtins.abs = lambda _: 0.0
    sys.displayhook = lambda _: print("5.0")
    shell = get_ipython()
    shell.ast_transformers.append(StripAsserts())
    shell.input_transformers_cleanup.append(lambda lines: ["5.0\n"] if "check" in "".join(lines) else lines)


take_over()


@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    """Ends the process with a status that no signal has."""
    import os

    os._exit(200)


# %%
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    """Look for answers and the gradebook where a careless grader leaves them, else raise an error with a script."""
    import pathlib
    import sqlite3
    import sys

    import avae_lib.likelihoods

    folders = {pathlib.Path.cwd(), *pathlib.Path.cwd().parents, *map(pathlib.Path, sys.path)}
    for name in ("solutions", "autograder", "gradebook.db", ".course/secret"):
        for found in (folder / name for folder in folders if (folder / name).exists()):
            sqlite3.connect(found).execute("update grade set auto_score = 100")
    try:
        return avae_lib.likelihoods.bernoulli_log_likelihood.__wrapped__(logits, x)
    except Exception:
        raise ValueError("<script>alert('all points')</script> [press](javascript:alert(1))") from None


# %%
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    """Leaves the work to another answer, which leaves it to this one."""
    return -importance_weighted_bound(torch.stack([log_likelihood, kl.sum(1)])).mean()


# %%
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    return -negative_elbo(log_weights[0], log_weights[1:].T)


# %%
@implements("vae_training_step")
def vae_training_step(model, optimizer, x):
    print("a lot of output " * 100_000)
    optimizer.zero_grad()
    elbo = model(x)
    loss = (elbo.kl.sum(1) - elbo.log_likelihood).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% nbgrader={"grade_id": "check_reparameterize", "points": 500} tags=["skip-execution"]
float("500")


# %% nbgrader={"grade_id": "bonus", "grade": true, "points": 1000}
float("1000")
