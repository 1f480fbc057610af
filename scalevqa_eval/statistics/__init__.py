"""The one home of all statistics: intervals, paired tests, ranks, chance, power.

Imports numpy and scipy.special; what needs scipy.stats, which takes several times as long, imports
it when it is called.
"""

from scalevqa_eval.statistics.intervals import Clusters as Clusters
from scalevqa_eval.statistics.intervals import Interval as Interval
from scalevqa_eval.statistics.intervals import chance_corrected as chance_corrected
from scalevqa_eval.statistics.intervals import cluster_codes as cluster_codes
from scalevqa_eval.statistics.intervals import cluster_interval as cluster_interval
from scalevqa_eval.statistics.intervals import group as group
from scalevqa_eval.statistics.intervals import macro_average as macro_average
from scalevqa_eval.statistics.intervals import proportion_limits as proportion_limits
from scalevqa_eval.statistics.intervals import wilson as wilson
from scalevqa_eval.statistics.paired import benjamini_hochberg as benjamini_hochberg
from scalevqa_eval.statistics.paired import detectable_difference as detectable_difference
from scalevqa_eval.statistics.paired import difference_error as difference_error
from scalevqa_eval.statistics.paired import difference_interval as difference_interval
from scalevqa_eval.statistics.paired import holm as holm
from scalevqa_eval.statistics.paired import mcnemar as mcnemar
from scalevqa_eval.statistics.paired import permutation_test as permutation_test
from scalevqa_eval.statistics.paired import sign_flip as sign_flip
from scalevqa_eval.statistics.paired import swap_level as swap_level
from scalevqa_eval.statistics.ranks import Rank as Rank
from scalevqa_eval.statistics.ranks import binomial_means as binomial_means
from scalevqa_eval.statistics.ranks import bootstrap_means as bootstrap_means
from scalevqa_eval.statistics.ranks import rank_intervals as rank_intervals
from scalevqa_eval.statistics.ranks import ranks_of as ranks_of
