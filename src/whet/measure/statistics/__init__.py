"""Pure statistics of measuring: standard library and numpy only."""

from whet.measure.statistics.counts import (
    binomial_lower,
    binomial_upper,
    holm,
    limit_verdict,
    mcnemar_exact,
    queries_needed,
    samples_to_show,
    unseen_share,
)
from whet.measure.statistics.moments import Limits, Moments, RatioMoments
from whet.measure.statistics.paired import (
    MEAN_METHOD,
    SMALLEST,
    Bounds,
    mean_bounds,
    mean_limits,
    moved,
    paired_proportions,
    samples_needed,
    shifted,
)
from whet.measure.statistics.ratios import median_ratio_interval
from whet.measure.statistics.resampling import (
    bootstrap_bounds,
    jackknife_bounds,
    jackknife_groups,
)
from whet.measure.statistics.tail_ratio import tail_ratio_interval
from whet.measure.statistics.tails import Turned, design_effect, percentiles

__all__ = [
    "MEAN_METHOD",
    "SMALLEST",
    "Bounds",
    "Limits",
    "Moments",
    "RatioMoments",
    "Turned",
    "binomial_lower",
    "binomial_upper",
    "bootstrap_bounds",
    "design_effect",
    "holm",
    "jackknife_bounds",
    "jackknife_groups",
    "limit_verdict",
    "mcnemar_exact",
    "mean_bounds",
    "mean_limits",
    "median_ratio_interval",
    "moved",
    "paired_proportions",
    "percentiles",
    "queries_needed",
    "samples_needed",
    "samples_to_show",
    "shifted",
    "tail_ratio_interval",
    "unseen_share",
]
