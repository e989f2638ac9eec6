"""The command `headwater`."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A streaming online-learning recommender.")


@app.command()
def worker(role: str = typer.Option(...)) -> None:
    from streams.logs import setup
    from streams.settings import load
    from streams.workers import run_worker

    settings = load()
    setup(settings.observability, worker=role)
    run_worker(settings, role=role)


@app.command()
def topics() -> None:
    from streams.settings import load
    from streams.topics import ensure

    print(ensure(load().kafka))


def main() -> None:
    app()
