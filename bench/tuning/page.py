"""What a search found, in Markdown: for the terminal and for the docs."""

from typing import Any


def page_of(report: dict[str, Any], *, best_first: int = 10) -> str:
    """The report of `tune` for a reader: default and best, the best trials, the settings as TOML."""
    metric, default, best = report["metric"], report["default"], report["best"]
    header = report["header"]
    stopped = sum(trial["score"] is None for trial in report["trials"])
    lines = [
        f"# Tuning of {report['model']} on the first {report['share']:.0%} of {report['stream']}",
        "",
        f"{header['date']}, {header['machine']}; load average {header['load_average'][0]}.",
        "",
        f"    {header['command']}",
        "",
        f"{report['units']:,} of {report['units_of_stream']:,} units ({report['protocol']}); mean {metric} of warm "
        f"units after the first tenth of these. {len(report['trials'])} trials, {stopped} stopped early. Tuning never "
        "saw the rest of the stream. A benchmark on this stream counts from its first tenth on, so it shares the part "
        "between a tenth and the share tuned on; figures on other streams share nothing.",
        "",
        f"Settings as they are: **{default['score']:.4f}**. Best trial: **{best['score']:.4f}**.",
        *_again(report),
    ]
    names = list(report["space"])
    lines += ["", f"The best {best_first} trials, and the settings as they are:", ""]
    lines.append(
        f"| {metric} | units/s of CPU | " + " | ".join(name.partition(".")[2] for name in names) + " |"
    )
    lines.append("|" + "---|" * (2 + len(names)))
    done = sorted((t for t in report["trials"] if t["score"] is not None), key=lambda t: -t["score"])
    shown = done[:best_first]
    for trial in shown if default in shown else [*shown, default]:
        values = " | ".join(str(trial["values"][name]) for name in names)
        lines.append(f"| {trial['score']:.4f} | {trial['units_per_cpu_s']:.0f} | {values} |")
    lines += ["", "For headwater.toml:", "", "```toml", report["toml"], "```", ""]
    return "\n".join(lines)


def _again(report: dict[str, Any]) -> list[str]:
    """Lines that compare the best with the settings as they are, seed by seed."""
    default, best = report["default"], report["best"]
    if best["values"] == default["values"]:
        return ["No trial was better than they are."]
    pairs = [{"seed": report["seed"], "default": default["score"], "best": best["score"]}, *report["again"]]
    return [
        "The best of many trials is partly luck:",
        "",
        "| seed | as they are | best | difference |",
        "|---|---|---|---|",
        *(
            f"| {pair['seed']}{' (tuned on)' if at == 0 else ''} | {pair['default']:.4f} | {pair['best']:.4f} | "
            f"{pair['best'] - pair['default']:+.4f} |"
            for at, pair in enumerate(pairs)
        ),
    ]
