"""`headwater pseudonym`: what a shopper is called where pseudonyms are on."""

from typing import Annotated

import typer

from cli.context import context_of
from streams.errors import SettingsError


def pseudonym(
    context: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The storefront's id of the shopper.")],
) -> None:
    """Print a shopper's pseudonym, and where Redis has the state and the slate."""
    settings = context_of(context).settings()
    names = settings.privacy.pseudonyms()
    if names is None:
        raise SettingsError("shoppers keep their ids here: HEADWATER_PRIVACY_PSEUDONYMISE is not set")
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    named, partition = names.user(user_id), keys.partition(user_id)
    print(
        f"pseudonym  {named}\nstate      {keys.state(partition, named)}\nslate      {keys.slate(partition, named)}"
    )
