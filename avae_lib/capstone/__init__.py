"""The capstone: students train a model of their own within a budget and hand it in with claims that can be checked.

They hand in the notebook, ``config.json`` (the model), ``weights.safetensors`` (its weights) and ``report.md`` (one
page with the mandatory table of claims). The grader rebuilds the model, measures it with :func:`measure` on the public
test images and on held-out ones, and compares the results with the claims.
"""

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.capstone.claims import QUANTITIES, Claims, ClaimsError, read_claims
from avae_lib.capstone.findings import baseline
from avae_lib.capstone.handing_in import FILES, claims_of_run, hand_in
from avae_lib.capstone.home_check import check
from avae_lib.capstone.measuring import Measurement, NotMeasurable, measure, public_images
from avae_lib.capstone.rebuilding import CapstoneRefused, rebuild, trained_numbers

__all__ = [
    "BUDGET",
    "FILES",
    "QUANTITIES",
    "Budget",
    "CapstoneRefused",
    "Claims",
    "ClaimsError",
    "Measurement",
    "NotMeasurable",
    "baseline",
    "check",
    "claims_of_run",
    "hand_in",
    "measure",
    "public_images",
    "read_claims",
    "rebuild",
    "trained_numbers",
]
