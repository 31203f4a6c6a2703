"""A run for each combination of settings: which ones there are, and the processes that train them."""

from avae_lib.sweeps.combinations import SweptRun, combinations
from avae_lib.sweeps.processes import Outcome, train_all
from avae_lib.sweeps.seeds import over_seeds

__all__ = ["Outcome", "SweptRun", "combinations", "over_seeds", "train_all"]
