"""The errors of the load generator.

HeadwaterError
└── LoadError
    ├── BadLoadConfig   a setting of replay or simulate that cannot be run
    ├── BadStream       a file that cannot be read as events or as a catalogue
    └── BrokerTrouble   Kafka cannot be reached, or a topic is missing
"""

from events.errors import HeadwaterError


class LoadError(HeadwaterError):
    """Anything that goes wrong while generating or measuring load."""


class BadLoadConfig(LoadError):
    """A setting that cannot be run: says what was received and what is allowed."""


class BadStream(LoadError):
    """A file that cannot be read: says where, what was found and what was expected."""


class BrokerTrouble(LoadError):
    """Kafka does not answer or lacks a topic: says what to do."""
