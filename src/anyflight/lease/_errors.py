"""What the lease has to say: of other processes' errors, and of the server."""

from __future__ import annotations

__all__ = (
    "LeaseConfigurationError",
    "LeaseUnavailableError",
    "RemoteFlightError",
    "RequestRefusedError",
    "unavailable",
)

from collections.abc import Hashable

from anyflight._errors import CoalescerError, shortened


class RemoteFlightError(CoalescerError):
    """Raised where a call waited for work in another process, and the work failed there.

    :ivar key: the key of the flight
    :ivar type_name: the name of the error's class, with its module, as ``builtins.ValueError``
    :ivar message: what the error said, shortened if it was very long
    """

    def __init__(self, text: str, key: Hashable, type_name: str, message: str) -> None:
        super().__init__(text, key)
        self.args: tuple[object, ...] = (text, key, type_name, message)
        self.type_name = type_name
        self.message = message


class LeaseUnavailableError(CoalescerError):
    """Raised if the server cannot be asked, and the call cannot or shall not go on without it.

    By calls only with ``on_unreachable="raise"``; by what writes or invalidates, in any case.

    :ivar key: the key; None if it was not about one, as with a tag, or if only the string is known
        that ``encode_key`` made of it, which the message has
    """


class LeaseConfigurationError(RuntimeError):
    """Raised when a lease is opened on a server that will never do, as it is set up.

    It is too old, or it refuses the user or the password. A server that is not there is no such
    error, since it may come back.
    """


class RequestRefusedError(Exception):
    """Raised by a :class:`LeaseStore` whose server has answered a request with an error.

    So the server is there, and other requests may fare better. The message goes to the log: it must
    hold nothing of a value.
    """


def unavailable(
    key: Hashable, cause: BaseException | None, about: str = ""
) -> LeaseUnavailableError:
    """Return the error for a request that was not answered, or not with what was asked for.

    :param cause: why, if it is known
    :param about: what it was about, if that was not the key
    """
    refused = isinstance(cause, RequestRefusedError)
    what = "refused a request" if refused else "could not be asked"
    return LeaseUnavailableError(f"the server {what} about {about or f'key {shortened(key)}'}", key)
