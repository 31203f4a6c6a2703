"""A run for each combination of settings: which ones there are, and the processes or Slurm jobs that train them."""

from avae_lib.sweeps.combinations import SweptRun, combinations
from avae_lib.sweeps.processes import Outcome, train_all
from avae_lib.sweeps.seeds import over_seeds
from avae_lib.sweeps.slurm import SlurmOptions, submit

__all__ = ["Outcome", "SlurmOptions", "SweptRun", "combinations", "over_seeds", "submit", "train_all"]
