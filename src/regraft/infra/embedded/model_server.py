"""The process of the local model: llama.cpp's OpenAI-compatible server.

Started by `regraft.infra.embedded.model`. The API key comes in the environment variable REGRAFT_MODEL_KEY.
"""

from __future__ import annotations

import argparse
import os
import signal

import xllamacpp

from regraft.infra.embedded.process import LOOPBACK

KEY_VARIABLE = "REGRAFT_MODEL_KEY"


def main() -> None:
    """Serve a GGUF file until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="python -m regraft.infra.embedded.model_server")
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cache-prompt", type=int, choices=(0, 1), required=True)
    options = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = options.gguf
    params.model_alias = {options.alias}
    params.hostnames = [LOOPBACK]
    params.port = options.port
    params.api_keys = [os.environ.pop(KEY_VARIABLE)]
    params.n_ctx = options.context
    params.n_parallel = 1
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_prompt = bool(options.cache_prompt)
    params.ui = False
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    # The server answers on threads of its own; the default action of SIGTERM ends them all.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while server:
        signal.pause()


if __name__ == "__main__":
    main()
