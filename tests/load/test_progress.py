"""What a run shows while it goes."""

import io

from rich.console import Console

from load.progress import Bar, Moment, PlainLines, Silent, watcher_for


def moment(at_s: float, *, phase: str = "sending", share: float | None = None) -> Moment:
    return Moment(phase=phase, elapsed_s=at_s, share=share, line=f"at {at_s}")


def test_plain_lines_come_every_few_seconds_and_at_each_new_phase() -> None:
    out = io.StringIO()
    with PlainLines(out, every_s=5) as lines:
        for at_s in (0, 1, 4.9, 5, 6):
            lines.show(moment(at_s, share=0.5))
        lines.show(moment(7, phase="settling"))
    shown = out.getvalue().splitlines()
    assert [line.rpartition("at ")[2] for line in shown] == ["0", "5", "7"]
    assert "50%" in shown[0]
    assert "settling" in shown[2]


def test_a_terminal_gets_a_bar_with_the_last_line() -> None:
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, width=120)) as bar:
        bar.show(moment(1, share=0.25))
        bar.show(moment(2, phase="settling", share=1.0))
    assert "at 1" in out.getvalue()
    assert "settling" in out.getvalue()


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(watcher_for(io.StringIO()), PlainLines)


def test_silent_shows_nothing() -> None:
    with Silent() as silent:
        silent.show(moment(1))
