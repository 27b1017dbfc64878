"""One module per stage: read, compute, write. Stages never import each other."""
