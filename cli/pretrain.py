"""`headwater pretrain`: the text encoder, taught by a shop's own past what its customers mean by similar."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from bench.telling import tell_on_stderr
from cli.context import context_of
from cli.stream_options import EVENTS_HELP, ColumnsOption, TimeUnitOption, tell_of_events
from load.catalogue import read_items
from load.columns import Columns, parse_renames
from load.stream_reader import StreamReader
from models.together import pairs_of, sessions

_TELL_EVERY = 20


def pretrain(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help=f"The past. {EVENTS_HELP}", exists=True)],
    items: Annotated[
        Path,
        typer.Option(help="Its catalogue file, with texts.", exists=True, rich_help_panel="The stream"),
    ],
    out: Annotated[Path, typer.Option(help="The encoder's folder, new or empty.")],
    columns: ColumnsOption = "",
    time_unit: TimeUnitOption = "ms",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many events.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 200,
    batch: Annotated[int, typer.Option(min=2, help="Pairs of texts a step.")] = 48,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs drawn of a basket or session, at most.")] = 4,
    lr: Annotated[float, typer.Option(min=1e-7, max=0.1, help="Learning rate.")] = 5e-4,
) -> None:
    """Train the text encoder on texts that were bought or viewed together, and on the catalogue's own."""
    from models.contrastive import (
        ContrastiveConfig,
    )  # here: torch takes seconds that other commands don't need
    from models.contrastive import pretrain as run_pretraining

    settings = context_of(context).settings()
    tell = tell_on_stderr()
    meanings = Columns(renames=parse_renames(columns), time_unit=time_unit)
    tell_of_events(data, columns=meanings, tell=tell)
    catalogue = [item for item in read_items(items) if item.text()]
    known = {str(item.item_id): at for at, item in enumerate(catalogue)}
    events = islice(iter(StreamReader(data, columns=meanings)), limit)
    groups = sessions(events, gap_ms=settings.sources.session_gap_ms)
    found = pairs_of(groups, known=known, per_group=pairs, seed=settings.learner.seed)
    tell(f"{len(found):,} pairs of {len(catalogue):,} texts")
    learner = settings.learner
    config = ContrastiveConfig(
        encoder=learner.encoder,
        steps=steps,
        batch=batch,
        lr=lr,
        seed=learner.seed,
        threads=learner.threads,
        device=learner.device,
    )

    def seen(step: int, loss: float) -> None:
        if step % _TELL_EVERY == 0 or step == steps:
            tell(f"step {step:,} of {steps:,}: loss {loss:.3f}")

    texts = [item.text() for item in catalogue]
    trained = run_pretraining(texts, pairs=found, config=config, seen=seen)
    trained.save(out)
    print(
        f"{out}: loss of pairs not trained on {trained.loss_before:.3f} before, {trained.loss_after:.3f} after.\n"
        f"Use it: HEADWATER_LEARNER_ENCODER={out}, for every worker, from an empty stream on."
    )
