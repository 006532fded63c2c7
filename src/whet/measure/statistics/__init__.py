"""Pure statistics of measuring: standard library and numpy only."""

from whet.measure.statistics.counts import (
    binomial_lower,
    binomial_upper,
    holm,
    limit_verdict,
    mcnemar_exact,
    order_statistic_interval,
    order_statistic_ranks,
    percentiles,
    queries_needed,
    samples_to_show,
    unseen_share,
)
from whet.measure.statistics.paired import (
    SMALLEST,
    Bounds,
    mean_bounds,
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

__all__ = [
    "SMALLEST",
    "Bounds",
    "binomial_lower",
    "binomial_upper",
    "bootstrap_bounds",
    "holm",
    "jackknife_bounds",
    "jackknife_groups",
    "limit_verdict",
    "mcnemar_exact",
    "mean_bounds",
    "median_ratio_interval",
    "moved",
    "order_statistic_interval",
    "order_statistic_ranks",
    "paired_proportions",
    "percentiles",
    "queries_needed",
    "samples_needed",
    "samples_to_show",
    "shifted",
    "unseen_share",
]
