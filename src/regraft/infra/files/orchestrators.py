"""Orchestrators as the settings name them; without upstreams one that has the local model do everything."""

from __future__ import annotations

from regraft.domain.errors import ConfigError, NotFoundError
from regraft.domain.orchestration.orchestration import BACKEND, DEFAULT_SYNTHESIS, Orchestrator
from regraft.infra.files.rules import DEFAULT, rule_of
from regraft.infra.settings import Settings

LOCAL = "local"
_LOCAL_STEPS, _LOCAL_TIMEOUT, _LOCAL_TOKENS = 3, 300.0, 200  # a small model on few cores


def orchestrators(settings: Settings, local_model: str) -> dict[str, Orchestrator]:
    """All orchestrators by name. Raises ConfigError when one names a rule or a tool server that is not there."""
    if BACKEND in settings.upstreams:
        raise ConfigError(f"No upstream can be named {BACKEND!r}: calls to orchestrators are recorded under that name.")
    found = {}
    for name, section in settings.orchestrators.items():
        if lacking := sorted(set(section.tools) - settings.tools.keys()):
            raise ConfigError(f"orchestrators.{name}.tools names {lacking[0]!r}, which is not one of `tools`.")
        try:
            rule = rule_of(settings, section.rule)
        except NotFoundError as error:
            raise ConfigError(f"orchestrators.{name}.rule: {error}") from error
        found[name] = Orchestrator(
            name=name,
            model=section.model,
            rule=rule,
            workers=section.workers,
            synthesis=section.synthesis or DEFAULT_SYNTHESIS,
            max_steps=section.max_steps,
            concurrency=section.concurrency,
            timeout=section.timeout,
            retries=section.retries,
            max_tokens=section.max_tokens,
            on_failure=section.on_failure,
            tools=tuple(section.tools),
        )
    if not found and not settings.upstreams:
        found[LOCAL] = Orchestrator(
            name=LOCAL,
            model=local_model,
            rule=rule_of(settings, DEFAULT),
            workers={"worker": local_model},
            max_steps=_LOCAL_STEPS,
            concurrency=1,
            timeout=_LOCAL_TIMEOUT,
            max_tokens=_LOCAL_TOKENS,
        )
    return found
