"""Before the workflow: the sample challenge, and the settings for editors and people."""

from pathlib import Path
from typing import Annotated

import typer

from lgdnet.commands.table import Threads, app


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="Folder to fill.")] = Path("data/sample"),
    seed: Annotated[int, typer.Option(help="Another seed draws other videos.")] = 0,
    threads: Threads = 2,
) -> None:
    """Render the sample challenge: 350 short videos with sound.

    Example: lgdnet sample --out data/sample
    """
    from lgdnet.stages import sample as stage

    stage.run(out, seed=seed, num_workers=threads)


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option(help="The reference for people instead, as Markdown.")] = False,
) -> None:
    """Print the JSON schema of config.yaml, for editors.

    Example: lgdnet schema
    """
    from lgdnet.settings import json_schema, reference

    print(reference() if markdown else json_schema(), end="")
