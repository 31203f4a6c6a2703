"""What each component is judged by: cases, and the mistakes and variants that guard them."""

from autograder.checks import attentive_vae, evaluation, hierarchical_vae, richer_models
from autograder.checks import kl_categorical as kl
from autograder.checks import log_mean_exp as start_here
from autograder.checks import mixture_cavi_step as mean_field
from autograder.checks import reparameterize as vae
from autograder.checks.case import ComponentCheck

__all__ = ["all_checks", "checks_of"]

UNITS = (start_here, kl, mean_field, vae, richer_models, hierarchical_vae, attentive_vae, evaluation)


def all_checks() -> tuple[ComponentCheck, ...]:
    """The checks of all components, by unit and in the order of the exercises, which is that of each ``CHECKS``."""
    return tuple(check for unit in UNITS for check in unit.CHECKS)


def checks_of(unit: str) -> tuple[ComponentCheck, ...]:
    """The checks of one unit's components (for example of ``"03_vae"``), in the order of the exercises."""
    return tuple(check for check in all_checks() if check.unit == unit)
