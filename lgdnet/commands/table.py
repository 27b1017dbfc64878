"""What the commands share: the table they stand in, and options with one meaning everywhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lgdnet.commands.listing import Command, Commands


class Table(typer.Typer):
    """A Typer whose commands print their example so that it can be pasted."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        return super().command(name, cls=Command, **options)


app = Table(
    name="lgdnet",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Action recognition challenges, stage by stage. The workflow calls these; each also works by hand."
    " `lgdnet COMMAND --help` says how, with an example.",
)

FeatureFiles = Annotated[
    list[Path], typer.Argument(help="Feature files of all shards, of one or more dumps.")
]
Out = Annotated[Path, typer.Option(help="File to write; it appears only when it is whole.")]
SettingsJson = Annotated[
    str, typer.Option("--settings", help="JSON of the settings that differ from their defaults.")
]
ManifestFile = Annotated[Path, typer.Option(help="manifest/{split}.csv of the manifest stage.")]
RejectedFile = Annotated[
    Path | None, typer.Option(help="manifest/rejected.csv; its videos of the split count as wrong.")
]
SplitName = Annotated[
    str | None, typer.Option(help="Which split of rejected.csv, where the manifest's name is not a split's.")
]
VideoRoot = Annotated[Path, typer.Option(help="Folder that the paths of the manifest start from.")]
Stored = Annotated[
    list[Path], typer.Option(help="File of the flow or audio stage; once for each shard. For such streams.")
]
Threads = Annotated[int, typer.Option(min=1, help="CPU cores to use.")]
Shard = Annotated[int, typer.Option(min=0, help="Which part of the manifest, from 0.")]
NumShards = Annotated[int, typer.Option(min=1, help="Into how many parts it is cut.")]


def wrote(path: Path) -> None:
    """What a stage made, for the person who typed it."""
    print(f"wrote {path}")
