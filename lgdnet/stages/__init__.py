<<<<<<< HEAD
"""One module per stage of the workflow: read, compute, write. Stages never import each other."""
=======
"""One module per stage: read, compute, write. Stages never import each other."""
>>>>>>> media
