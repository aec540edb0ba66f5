"""`router schema`: the JSON Schema of the map, for editors and other programs."""

import click

from router.ownership_file.json_schema import schema_text


@click.command(
    short_help="Print the JSON Schema of the map, for editors.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def schema() -> None:
    """Print the JSON Schema of the map (draft 7), for editors and other programs.

    \b
    router schema > ownership.schema.json

    The first line of the map names it: # yaml-language-server: $schema=ownership.schema.json
    """
    click.echo(schema_text().encode(), nl=False)
