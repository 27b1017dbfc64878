"""One module per stage of the workflow: read, compute, write. Stages never import each other."""
