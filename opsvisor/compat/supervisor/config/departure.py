"""A warning that is more than one: Supervisor takes the same words otherwise."""

from opsvisor.config.problems import Problem


class Departure(Problem, frozen=True, order=True):
    """What opsvisord does otherwise than the supervisord that has the file now.

    Other warnings are of what both do, or neither. To whoever reads them on a terminal all are
    alike; a migration counts these.
    """
