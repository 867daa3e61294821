"""Birth-and-death chains: gaps, mixing and escape times, exact for thousands of states at every temperature."""

from theory.chains.birth_death.chain import BirthDeathChain
from theory.chains.birth_death.gap import gaps, slowest_mode, smallest_eigenvalue
from theory.chains.birth_death.log_escape import log_exit_probabilities, log_expected_escape_times
from theory.chains.birth_death.mixing import birth_death_mixing_time

__all__ = [
    "BirthDeathChain",
    "birth_death_mixing_time",
    "gaps",
    "log_exit_probabilities",
    "log_expected_escape_times",
    "slowest_mode",
    "smallest_eigenvalue",
]
