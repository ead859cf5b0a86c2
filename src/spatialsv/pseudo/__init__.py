"""Stage `pseudo`: labels for scenes that have neither text nor geometry, gated."""

from spatialsv.pseudo.stage import PseudoConfig, run

__all__ = ["PseudoConfig", "run"]
