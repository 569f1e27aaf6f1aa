"""When a failed call is tried again, and after how long. Pure: chance is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from kite_broker_zerodha.errors import KiteUnavailable, RateLimited


@dataclass(frozen=True, slots=True)
class Retries:
    """How stubborn the client is; all times in seconds.

    ``attempts``  calls in all, the first one too; 1 never tries again
    ``first_s``   the wait after the first failure; it doubles with each further one
    ``cap_s``     no wait is longer, but for one that Kite asks for

    HTTP 429, 5xx and a network that fails are worth another try; a refusal never is.
    """

    attempts: int = 5
    first_s: float = 0.5
    cap_s: float = 8.0

    def __post_init__(self) -> None:
        if not (self.attempts >= 1 and 0 < self.first_s <= self.cap_s):
            raise ValueError("retries need attempts >= 1 and 0 < first_s <= cap_s")

    def wait_s(self, failures: int, error: BaseException | None, chance: float) -> float:
        """The wait after that many failures; half of it is fixed and ``chance`` (0 to 1) scales
        the other half, so that many clients do not return together."""
        wait_s: float = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 32))
        jittered_s = wait_s * (0.5 + 0.5 * chance)
        asked_s = error.retry_after_s if isinstance(error, RateLimited) else 0.0
        return max(jittered_s, asked_s)


def worth_another_try(error: BaseException) -> bool:
    """Whether a call that asks only may be repeated after this error."""
    return isinstance(error, KiteUnavailable) and error.again


def surely_undone(error: BaseException) -> bool:
    """Whether a call that changes something may be: Kite has not obeyed this one."""
    return isinstance(error, RateLimited)
