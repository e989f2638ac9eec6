"""`headwater bench …`: every figure in docs/benchmarks, one command each."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.bench_device import JsonOption, index, sizes_of, training_step
from cli.bench_diversity import diversity
from cli.bench_drift import drift
from cli.bench_fuzz import fuzz
from cli.bench_options import options
from cli.bench_prequential import prequential
from cli.context import context_of

app = typer.Typer(
    no_args_is_help=True, help="Measure: each command prints a table, and with --json writes it."
)
app.command("prequential")(prequential)
app.command("drift")(drift)
app.command("diversity")(diversity)
app.command("options")(options)
app.command("fuzz")(fuzz)
app.command("training-step")(training_step)
app.command("index")(index)

BrokerOption = Annotated[
    Literal["embedded", "kafka"],
    typer.Option(help="kafka: KAFKA_BOOTSTRAP_SERVERS, or one started from KAFKA_HOME."),
]
KafkaHomeOption = Annotated[
    Path | None, typer.Option(envvar="KAFKA_HOME", help="A folder with Apache Kafka's jars in libs/.")
]


@app.command("prequential-demo")
def prequential_demo(
    context: typer.Context,
    events: Annotated[int | None, typer.Option(min=1, help="Of the shipped stream; default: all.")] = None,
    checkpoint: Annotated[int, typer.Option(min=1, help="Look at the scores every so many events.")] = 4_000,
    titles: Annotated[bool, typer.Option(help="Encode the catalogue's titles.")] = True,
    json: JsonOption = None,
) -> None:
    """Recall@20 and MRR of Headwater, its parts and the baselines over the shipped stream, test then train."""
    from bench.prequential_demo import PrequentialConfig, run_prequential

    config = PrequentialConfig(events=events, checkpoint_every=checkpoint, titles=titles)
    settings = context_of(context).settings()
    run_prequential(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(
        json
    )


@app.command()
def rerank(
    context: typer.Context,
    candidates: Annotated[int, typer.Option(min=10, help="Of each shopper.")] = 100,
    events: Annotated[int, typer.Option(min=1, help="Of the shipped stream, learnt first.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Both sides are timed so often.")] = 30,
    batches: Annotated[
        str, typer.Option(help="Requests scored together, sizes separated by commas.")
    ] = "1,32",
    json: JsonOption = None,
) -> None:
    """A hundred candidates of one shopper: our ranker beside a cross-encoder over the same titles."""
    from bench.rerank import RerankConfig, run_rerank

    config = RerankConfig(
        candidates=candidates, events=events, rounds=rounds, batches=sizes_of(batches, option="--batches")
    )
    settings = context_of(context).settings()
    run_rerank(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)


@app.command()
def recommend(
    context: typer.Context,
    batches: Annotated[str, typer.Option(help="Shoppers of a batch, sizes separated by commas.")] = "1,32",
    events: Annotated[int | None, typer.Option(min=1, help="Of the shipped stream; default: all.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Batches of each size.")] = 300,
    json: JsonOption = None,
) -> None:
    """One shopper's recommend() by stage, after the shipped stream, alone and in batches."""
    from bench.recommend import RecommendBenchConfig, run_recommend

    sizes = sizes_of(batches, option="--batches")
    config = RecommendBenchConfig(events=events, batches=sizes, rounds=rounds)
    settings = context_of(context).settings()
    run_recommend(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)


@app.command()
def freshness(
    context: typer.Context,
    rate: Annotated[
        float, typer.Option(min=1, help="Clicks a second, each of a shopper of its own.")
    ] = 200.0,
    seconds: Annotated[float, typer.Option(min=1, max=300, help="Measured.")] = 30.0,
    warmup: Annotated[
        float, typer.Option(min=0, max=120, help="Seconds of the same traffic before that.")
    ] = 20.0,
    broker: BrokerOption = "embedded",
    kafka_home: KafkaHomeOption = None,
    with_learner: Annotated[bool, typer.Option(help="Run a learner and an encoder beside it.")] = False,
    history: Annotated[
        int, typer.Option(min=1, help="Events of the shipped stream that are there first.")
    ] = 2_000,
    deep: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="The transformer serves: auto, if the learner found it pays."),
    ] = "auto",
    linger_ms: Annotated[
        float, typer.Option(min=0, help="That the sending client waits for company of a click.")
    ] = 1.0,
    json: JsonOption = None,
) -> None:
    """From a click's intended send time to its new recommendation, read from the topic."""
    from bench.freshness import FreshnessConfig, run_freshness

    config = FreshnessConfig(
        rate=rate,
        seconds=seconds,
        warmup_s=warmup,
        broker=broker,
        kafka_home=kafka_home,
        with_learner=with_learner,
        history=history,
        deep=deep,
        linger_ms=linger_ms,
    )
    settings = context_of(context).settings()
    run_freshness(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)


@app.command()
def ingest(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, help="Of the backlog.")] = 50_000,
    shoppers: Annotated[int, typer.Option(min=1, help="Whose clicks they are.")] = 5_000,
    envelope: Annotated[int, typer.Option(min=1, help="Events a record, where they come in envelopes.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="The medians are of so many.")] = 3,
    broker: BrokerOption = "embedded",
    kafka_home: KafkaHomeOption = None,
    json: JsonOption = None,
) -> None:
    """Events a second of one worker through a backlog, beside Faust's raw loop and a bare aiokafka loop."""
    from bench.ingest import IngestConfig, run_ingest

    config = IngestConfig(
        events=events,
        shoppers=shoppers,
        envelope=envelope,
        rounds=rounds,
        broker=broker,
        kafka_home=kafka_home,
    )
    settings = context_of(context).settings()
    run_ingest(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)


@app.command()
def propagation(
    context: typer.Context,
    items: Annotated[int, typer.Option(min=1, max=2_000, help="New items, one after the other.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, max=300, help="Adapters are watched so long.")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Clicks a second meanwhile.")] = 100.0,
    batch_units: Annotated[int, typer.Option(min=1, help="Of a training step; each publishes.")] = 32,
    history: Annotated[
        int, typer.Option(min=1, help="Events of the shipped stream that are there first.")
    ] = 500,
    broker: BrokerOption = "embedded",
    kafka_home: KafkaHomeOption = None,
    json: JsonOption = None,
) -> None:
    """Catalogue record to retrievable item, and training step to serving, through the real processes."""
    from bench.propagation import PropagationConfig, run_propagation

    config = PropagationConfig(
        items=items,
        seconds=seconds,
        rate=rate,
        batch_units=batch_units,
        history=history,
        broker=broker,
        kafka_home=kafka_home,
    )
    settings = context_of(context).settings()
    run_propagation(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(
        json
    )
