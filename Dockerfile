# One image for every service of Regraft: docker build --tag regraft:0.1.0 .
# The last stage has no compiler, no Node and no pip, and runs as an account without rights. The local model is left out.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS page
WORKDIR /src
COPY requirements-ui.txt ./
COPY ui ui
RUN python ui/build.py --install-node

FROM python:${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/regraft
COPY requirements.txt requirements-kubernetes.txt requirements-otel.txt ./
RUN /opt/regraft/bin/pip install --require-hashes -r requirements.txt -r requirements-kubernetes.txt -r requirements-otel.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
COPY --from=page /src/src/regraft/presentation/web/static src/regraft/presentation/web/static
RUN /opt/regraft/bin/pip install --no-deps --no-build-isolation . \
 && /opt/regraft/bin/pip uninstall --yes xllamacpp hatchling editables pip setuptools

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Regraft" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN pip uninstall --yes pip setuptools wheel \
 && groupadd --gid 10001 regraft \
 && useradd --uid 10001 --gid regraft --no-create-home --home-dir /data --shell /usr/sbin/nologin regraft \
 && install --directory --owner=regraft --group=regraft --mode=0700 /data /stream
COPY --from=packages /opt/regraft /opt/regraft
ENV PATH=/opt/regraft/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    REGRAFT_DATA_DIR=/data \
    REGRAFT_START_SERVICES=false
USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/stream"]
EXPOSE 4700 4701 4702 4703 4704 4705
ENTRYPOINT ["regraft"]
CMD ["--help"]
