"""An order of the classes in which those that are confused with each other stand together."""

import numpy as np


def alike_order(confusion: np.ndarray) -> list[int]:
    """Leaves of a tree that joins the most confused classes first: (K, K) counts -> K indices."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    K = len(confusion)
    if K < 3:
        return list(range(K))
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    both = share + share.T
    np.fill_diagonal(both, 0)
    distance = 1 - both / max(both.max(), 1e-9)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average")
    return [int(k) for k in leaves_list(tree)]
