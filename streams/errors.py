"""The errors of the streams package.

HeadwaterError
├── PublishError           records did not reach the broker
├── ReadError              a topic cannot be read
├── JournalError           the learner's journal is damaged
├── SettingsError          a setting is wrong or unknown
├── BrokerUnreachable      no Kafka broker answers at the configured address
├── OtherLog               the learner's folder has read further than the broker's log goes (streams/other_log.py)
├── OtherNames             Redis or the learner's folder names shoppers by another key (streams/naming.py)
├── TopicMismatch          a topic exists with another partition count or policy than the settings ask for
└── ProcessError           a child process could not be started, or ended before it was ready
    └── ServerUnavailable  an embedded server cannot run on this machine
"""

from events.errors import HeadwaterError


class PublishError(HeadwaterError):
    def __init__(self, *, topic: str, cause: str) -> None:
        super().__init__(f"records for {topic or 'the broker'} were not delivered: {cause}")


class ReadError(HeadwaterError):
    def __init__(self, *, topic: str, cause: str) -> None:
        super().__init__(f"cannot read {topic}: {cause}")


class JournalError(HeadwaterError):
    def __init__(self, *, path: str, line: int) -> None:
        super().__init__(f"{path} line {line} is damaged")


class SettingsError(HeadwaterError):
    """A setting is wrong or unknown; the message has one line for every problem."""


class BrokerUnreachable(HeadwaterError):
    """No Kafka broker answers at the configured address."""


class OtherLog(HeadwaterError):
    """The learner's folder was made from another log than the broker has; the message says what to do."""


class TopicMismatch(HeadwaterError):
    """Topics exist, but not as the settings ask for; the message says how each differs and what to do."""


class ProcessError(HeadwaterError):
    """A child process could not be started, or ended before it was ready."""


class ServerUnavailable(ProcessError):
    """An embedded server cannot run on this machine; the message names the setting to use instead."""
