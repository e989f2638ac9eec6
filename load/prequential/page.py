"""The report as one HTML page that needs nothing else: tables, and the curves inside."""

import base64
import html
import json
from collections.abc import Mapping
from typing import Any

from load.prequential.tables import Table, tables_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #d9dee3; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tr.subject { background: #eef5ff; font-weight: 600 }
img { max-width: 100% } code, pre { background: #f3f5f7; padding: .1rem .3rem; border-radius: 3px }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem } dt { color: #57606a } dd { margin: 0 }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e4e7ea } th, td { border-color: #343a40 }
  tr.subject { background: #1d2a3d } code, pre { background: #22272c } img { background: #fff }
}
"""


def page_of(report: Mapping[str, Any], *, curves: bytes | None) -> str:
    """The page. `curves`: a PNG, put into the page itself; None leaves the picture out."""
    stream = report["stream"]
    title = f"Test then train over {stream['data']}"
    parts = [f"<h1>{html.escape(title)}</h1>", _facts(report)]
    if curves is not None:
        data = base64.b64encode(curves).decode()
        parts.append(
            f'<h2>Over the stream</h2><img alt="Learning curves" src="data:image/png;base64,{data}">'
        )
    parts += [_table(table, subject=report["subject"]) for table in tables_of(report)]
    if report["failed"]:
        reasons = "".join(
            f"<li>{html.escape(name)}: {html.escape(reason)}</li>"
            for name, reason in report["failed"].items()
        )
        parts.append(f"<h2>Did not finish</h2><ul>{reasons}</ul>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _facts(report: Mapping[str, Any]) -> str:
    shown = {**report["stream"], "seed": report["seed"]}
    shown |= {name: value for name, value in report.get("header", {}).items() if name != "versions"}
    items = "".join(
        f"<dt>{html.escape(str(name)).replace('_', ' ')}</dt><dd><code>{html.escape(_text(value))}</code></dd>"
        for name, value in shown.items()
        if value not in (None, "", {})
    )
    return f"<dl>{items}</dl>"


def _table(table: Table, *, subject: str) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        f"<tr{' class=subject' if row[0] == subject else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    return (
        f"<h2>{html.escape(table.title)}</h2><div class=wide><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
