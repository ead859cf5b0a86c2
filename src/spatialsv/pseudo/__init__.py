"""Stage `pseudo`: gated labels of a teacher for scenes without text and geometry."""

from spatialsv.pseudo.stage import PseudoConfig, run

__all__ = ["PseudoConfig", "run"]
