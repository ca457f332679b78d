"""Every error that Regraft raises on purpose.

RegraftError
|-- ConfigError            a setting is unknown, missing or of the wrong type        exit 2
|-- UsageError             the request is not valid                                  exit 2
|-- NotFoundError          a node, session, pair or snapshot that is not there       exit 3
|-- ConflictError          the request conflicts with a change in the meantime         exit 1
|-- ForbiddenError         the token may not do this                                 exit 2
|-- CorruptEventError      a captured call that cannot be read (goes to quarantine)  exit 1
|-- IllegalRowError        a dataset row that is not legal or lossless               exit 1
|-- WithdrawnError         a frozen dataset that was withdrawn                    exit 1
|-- IntegrityError         stored bytes disagree with what was recorded of them      exit 4
|-- UnavailableError       a server that is needed cannot be reached     retryable   exit 5
|   |-- UpstreamError      a model server failed or cut the answer       retryable
|   |-- ToolServerError    a tool server failed (infra/mcp)              retryable
|   |-- SpoolFullError     the gateway's spool takes no more (infra/spool.py)
|   `-- ServerStartError   an embedded server did not start
`-- PortInUseError         a port that we must listen on is taken                    exit 5

A class's docstring is the message when none is given. The message says what to do next.
Errors are caught only at an edge: a route, a consumer loop, an asset or a command.
"""

from __future__ import annotations


class RegraftError(Exception):
    """Something went wrong."""

    exit_code = 1
    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(RegraftError):
    """The configuration is not valid."""

    exit_code = 2


class UsageError(RegraftError):
    """The request is not valid."""

    exit_code = 2


class NotFoundError(RegraftError):
    """There is no such thing."""

    exit_code = 3


class ConflictError(RegraftError):
    """The request conflicts with a change in the meantime."""


class ForbiddenError(RegraftError):
    """This token may not do that."""

    exit_code = 2


class CorruptEventError(RegraftError):
    """A captured call cannot be read."""


class IllegalRowError(RegraftError):
    """A dataset row is not legal or would lose something."""


class WithdrawnError(RegraftError):
    """The dataset was withdrawn."""


class IntegrityError(RegraftError):
    """Stored data does not agree with its record."""

    exit_code = 4


class UpgradeNeededError(RegraftError):
    """The log waits for an upgrade."""

    exit_code = 6


class UnavailableError(RegraftError):
    """A server that is needed cannot be reached."""

    exit_code = 5
    retryable = True


class UpstreamError(UnavailableError):
    """The model server failed."""


class ServerStartError(UnavailableError):
    """An embedded server did not start."""

    retryable = False


class PortInUseError(RegraftError):
    """A port is already in use."""

    exit_code = 5
