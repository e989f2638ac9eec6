"""What broken clients, bad disks and attackers do to a record's bytes."""

from random import Random

JUNK = [
    b"null",
    b"true",
    b"-1",
    b"0.5",
    b"1e999",
    b"-1e999",
    b"9" * 400,
    b"18446744073709551616",
    b"NaN",
    b"-Infinity",
    b'""',
    b'"x"',
    b"[]",
    b"{}",
    b'{"events":[]}',
    b"[" * 2_000,
    b'{"a":' * 2_000,
    rb'"\ud800"',
    rb'"\udc00\ud800"',
    rb'"\u0000"',
    rb'"\uZZZZ"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc2\x85"',
    b'"2011-12-09T08:41:00Z"',
    b'"9999-12-31T23:59:60Z"',
    b'"0000-00-00T00:00:00Z"',
    b'"' + b"u" * 300 + b'"',
    b"\x00",
    b"\xef\xbb\xbf",
]


def mutated(raw: bytes, *, others: list[bytes], chance: Random) -> bytes:
    """`raw` with one to three kinds of damage; `others` are records that a part may be spliced in from."""
    data = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(data)) if data else 0
        end = min(len(data), at + chance.randrange(1, 24))
        match chance.randrange(8):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 4:
                other = chance.choice(others)
                data[at:] = other[chance.randrange(len(other)) :]
            case 5:
                data[at:end] = chance.choice(JUNK)
            case 6:
                replace_value(data, chance.choice(JUNK), chance=chance)
            case _:
                data[at:at] = chance.choice(b'"{}[],:\\0e-.').to_bytes()
    return bytes(data)


def replace_value(data: bytearray, value: bytes, *, chance: Random) -> None:
    """Put `value` in the place of the value of one of the fields: right syntax, wrong type or bound."""
    colons = [at for at, byte in enumerate(data) if byte == ord(":")]
    if not colons:
        return
    start = end = chance.choice(colons) + 1
    while end < len(data) and data[end] not in b",}]":
        end += 1
    data[start:end] = value
