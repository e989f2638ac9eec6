"""`headwater pseudonym`: what a shopper is called here, and where Redis has what is known of them."""

from typing import Annotated

import typer

from cli.context import context_of


def pseudonym(
    context: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The storefront's id of the shopper.")],
) -> None:
    """Print a shopper's pseudonym, where there are any, and where Redis has the state and the slate."""
    settings = context_of(context).settings()
    names = settings.privacy.pseudonyms()
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    partition = keys.partition(user_id)  # of the raw id, as the shopper's events have it
    named = user_id if names is None else names.user(user_id)
    if names is not None:
        print(f"pseudonym  {named}")
    print(f"partition  {partition}")
    print(f"state      {keys.state(partition, named)}\nslate      {keys.slate(partition, named)}")
