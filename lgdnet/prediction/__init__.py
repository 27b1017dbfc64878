"""A finished challenge applied to new videos: what `predict`, `pack` and `explain` have in common."""
