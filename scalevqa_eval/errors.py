"""Every error that this package raises on purpose.

ScaleVQAError            anything below; `str(error)` is one or two plain lines for a person
├── UsageError           the request was wrong: the message says what to type instead (exit 2)
│   ├── MissingExtra     an optional dependency is not installed
│   └── DataError        a dataset, card, image or run directory cannot be used as it is
├── RunLocked            another process writes the same run directory (exit 1)
└── ModelError           a model gave no reply; the runner decides about a retry
"""

from __future__ import annotations


class ScaleVQAError(Exception):
    """Base of all errors of this package. Its text is shown to users as it is."""


class UsageError(ScaleVQAError):
    """The request cannot be carried out as it was made."""


class MissingExtra(UsageError):
    """A feature needs packages that are not in the core install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs more packages: pip install 'scalevqa-eval[{extra}]'")


class DataError(UsageError):
    """A dataset, card, image or run directory is unusable; the message names the place."""


class RunLocked(ScaleVQAError):
    """Another living process holds the run directory."""


class ModelError(ScaleVQAError):
    """No reply could be had for one prompt.

    One of three kinds: `retryable` (the same prompt may succeed later), `fatal` (no prompt can
    succeed: a wrong key, an unknown model; the run stops), or neither (this prompt is refused, for
    what is in it as far as one answer can tell: the next one is asked). With a retryable one
    `rate_limited` says that the other side asked for less traffic, and `retry_after` (seconds)
    when it is willing to be asked again.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        rate_limited: bool = False,
        retry_after: float | None = None,
        fatal: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.rate_limited = rate_limited
        self.retry_after = retry_after
        self.fatal = fatal
