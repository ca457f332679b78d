"""All assets, checks and sensors, for ``dagster dev -m regraft.presentation.dagster.definitions`` and ``dg``."""

from dagster import Definitions, colored_console_logger, in_process_executor

from regraft.presentation.dagster import capture as runtime
from regraft.presentation.dagster import checks, datasets, evaluation, lineage, sensors
from regraft.presentation.dagster import replay as replays
from regraft.presentation.dagster.resources import Servers

defs = Definitions(
    assets=[*runtime.ASSETS, *lineage.ASSETS, *evaluation.ASSETS, *datasets.ASSETS, *replays.ASSETS],
    asset_checks=checks.CHECKS,
    sensors=sensors.SENSORS,
    resources={"servers": Servers()},
    # Without a line for each key of a range.
    loggers={"console": colored_console_logger.configured({"log_level": "INFO"})},
    executor=in_process_executor,  # a step's own process costs more than the step
)
