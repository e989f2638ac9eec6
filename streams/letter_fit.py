"""Dead letters that no broker would take: their originals' bytes are cut to fit, and the letter says so.

A record may come with more than a topic allows once our headers are added, or from a broker with a larger limit
than the dead letters' topic has. The letter then has as much of it as fits and the original's size in `hw-cut`;
the original itself stays where the letter says that it came from, for as long as that topic keeps it.
"""

from streams.publisher import Record
from streams.topics import LETTER_MAX_BYTES

PREFIX = "hw-"  # of our headers; the others are the original's
CUT = "hw-cut"  # bytes of the original's value

_OVERHEAD = 512  # of a record and its batch, beside what is counted here
_SMALL_BYTES = 512 * 1024  # what every broker takes whose limit is the usual 1 MB


def size_of(record: Record) -> int:
    """About how many bytes the record takes on the broker."""
    headers = sum(len(name) + len(value or b"") + 8 for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + _OVERHEAD


def fitted(record: Record, *, limit: int = LETTER_MAX_BYTES) -> Record:
    """The letter itself where it fits into `limit` bytes, else as much of its original as does.

    The value gives way first; a key and original headers that alone take a quarter of the room are cut or left
    out.
    """
    if size_of(record) <= limit:
        return record
    quarter = limit // 4
    theirs = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
    if sum(len(name) + len(value or b"") for name, value in theirs) > quarter:
        theirs = ()
    ours = tuple(header for header in record.headers if header[0].startswith(PREFIX) and header[0] != CUT)
    value = record.value or b""
    was = dict(record.headers).get(CUT, str(len(value)).encode())
    small = record._replace(
        key=None if record.key is None else record.key[:quarter],
        value=b"",
        headers=(*theirs, *ours, (CUT, was)),
    )
    return small._replace(value=value[: max(0, limit - size_of(small))])


def shorter(record: Record) -> Record | None:
    """What to send in place of a letter that the broker refused for its size; None where that cannot help."""
    is_letter = any(name.startswith(PREFIX) for name, _ in record.headers)
    if not is_letter or size_of(record) <= _SMALL_BYTES:
        return None
    return fitted(record, limit=_SMALL_BYTES)
