import tomllib

from bench.tuning.space import SPACE, OneOf, Real, Whole, applied, present, space_around, suggest, toml_lines
from streams.settings import Settings


class Lowest:
    """A trial that takes the first of everything."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        return low

    def suggest_categorical(self, name, choices):  # type: ignore[no-untyped-def]  # noqa: ARG002
        return choices[0]


def test_the_defaults_lie_within_the_table() -> None:
    assert space_around(Settings()) == SPACE
    assert applied(Settings(), values=present(Settings())) == Settings()


def test_every_corner_of_the_table_is_a_valid_setting_that_toml_gives_back() -> None:
    highest = {
        name: dial.values[-1] if isinstance(dial, OneOf) else dial.high for name, dial in SPACE.items()
    }
    for values in (suggest(Lowest(), space=SPACE), highest):
        settings = applied(Settings(), values=values)
        assert settings != Settings()
        again = Settings().updated(**tomllib.loads(toml_lines(Settings(), values=values)))
        assert again == settings


def test_the_table_widens_to_settings_outside_of_it() -> None:
    settings = Settings().updated(
        learner={"wide_lr": 0.1, "wide_hidden": (32,), "replay_ratio": 100}, serving={"candidates": 500}
    )
    space = space_around(settings)
    assert space["learner.wide_lr"] == Real(5e-4, 0.1)
    assert space["learner.replay_ratio"] == Whole(1, 100, log=True)
    assert space["serving.candidates"] == Whole(60, 500)
    wide = space["learner.wide_hidden"]
    assert isinstance(wide, OneOf)
    assert wide.values[-1] == "32"
