"""What every program of this repository needs."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_runtime.clock import Clock as Clock  # pants: no-infer-dep
    from kite_runtime.clock import SystemClock as SystemClock  # pants: no-infer-dep
    from kite_runtime.command_line import Lazy as Lazy  # pants: no-infer-dep
    from kite_runtime.command_line import Program as Program  # pants: no-infer-dep
    from kite_runtime.errors import ConfigurationError as ConfigurationError  # pants: no-infer-dep
    from kite_runtime.errors import KiteError as KiteError  # pants: no-infer-dep
    from kite_runtime.errors import SettingError as SettingError  # pants: no-infer-dep
    from kite_runtime.errors import TryAgainLater as TryAgainLater  # pants: no-infer-dep
    from kite_runtime.errors import UsageError as UsageError  # pants: no-infer-dep
    from kite_runtime.retry import Backoff as Backoff  # pants: no-infer-dep
    from kite_runtime.retry import Pace as Pace  # pants: no-infer-dep
    from kite_runtime.secrets import Secret as Secret  # pants: no-infer-dep
    from kite_runtime.secrets import redact as redact  # pants: no-infer-dep
    from kite_runtime.settings import PostgresUser as PostgresUser  # pants: no-infer-dep
    from kite_runtime.settings import Settings as Settings  # pants: no-infer-dep
    from kite_runtime.settings import variable as variable  # pants: no-infer-dep
    from kite_runtime.settings import variables_table as variables_table  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "clock": "Clock SystemClock",
        "command_line": "Lazy Program",
        "errors": "ConfigurationError KiteError SettingError TryAgainLater UsageError",
        "retry": "Backoff Pace",
        "secrets": "Secret redact",
        "settings": "PostgresUser Settings variable variables_table",
    },
)
