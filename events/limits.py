"""Every bound of the contract: how long, how many, how large, how early and how late. Nothing else states one.

What breaks a bound is set aside with the reason beside it (events/errors.py), the value received and the bound.
"""

DAY_MS = 86_400_000

MAX_RECORD_BYTES = 1_000_000  # too-large
MAX_EVENTS = 10_000  # of an envelope: too-many-events; as many of the smallest events fit into a record
MAX_ITEMS = 1_000  # of an event: too-many-items
MAX_ID_CHARS = 256  # bad-id
MAX_QUANTITY = 1_000_000  # bad-number
MAX_MONEY = 1e12  # bad-number
MAX_PLACE = 1_000_000  # slots and indices: bad-number
MAX_VECTOR = 4_096  # numbers of an image vector: bad-value
EARLIEST_MS = 946_684_800_000  # 2000-01-01T00:00:00Z: time-out-of-range
LATEST_MS = 253_402_300_799_999  # 9999-12-31: what the type allows; the codec allows AHEAD_MS more than now
AHEAD_MS = DAY_MS  # time-out-of-range

MAX_DEPTH = 500  # of arrays and objects in one another: too-deep. Fields that mean something nest four deep

# Of what is refused, no more than this is repeated in the reason.
MAX_RECEIVED_CHARS = 80
MAX_EXPECTED_CHARS = 400
MAX_PATH_CHARS = 120

# Of a catalogue item, no more than this goes on from the encoder. What is longer is cut, not refused.
MAX_TITLE_CHARS = 500
MAX_LABEL_CHARS = 300  # category, brand
MAX_TEXT_CHARS = 20_000  # that the text encoder reads: it keeps a few hundred tokens anyway
