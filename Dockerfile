# The image of every process of ours: `docker build .`, for amd64 and arm64 (docs/deployment.md).
ARG PYTHON_IMAGE=python:3.11.16-slim-trixie

FROM ${PYTHON_IMAGE} AS builder
# faust-streaming has no wheel for arm64: the compiler stays in this stage.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build

# Packages first: a change of our code alone leaves this layer as it is.
ARG EXTRAS=cache
COPY pyproject.toml requirements.lock ./
COPY infra/docker/locked.py infra/docker/
RUN python -m venv --without-pip /opt/kandle \
 && python infra/docker/locked.py wanted pyproject.toml "${EXTRAS}" > wanted.txt \
 && python infra/docker/locked.py pins requirements.lock > pins.txt \
 && pip install --dry-run --ignore-installed --quiet --report report.json -r wanted.txt -c pins.txt \
 && python infra/docker/locked.py chosen requirements.lock report.json > image.lock \
 && pip --python /opt/kandle/bin/python install --quiet --require-hashes -r image.lock \
 && echo '{"install": [{"metadata": {"name": "setuptools"}}]}' > tools.json \
 && python infra/docker/locked.py chosen requirements.lock tools.json > tools.lock \
 && pip install --quiet --require-hashes -r tools.lock

COPY README.md LICENSE ./
COPY schemas schemas
COPY infra infra
COPY producers producers
COPY processors processors
COPY sinks sinks
COPY backtest backtest
COPY serve serve
COPY kandle kandle
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && pip --python /opt/kandle/bin/python install --quiet --no-deps --no-index wheels/*.whl \
 && /opt/kandle/bin/python -m compileall -q -j 0 /opt/kandle/lib

# Kernels for any processor of the architecture: who builds and who runs need not be the same machine.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/opt/kandle/kernels KANDLE_DATA_DIR=/tmp/kandle
RUN /opt/kandle/bin/kandle doctor --prepare

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Kandle" \
      org.opencontainers.image.description="Exchanges to Kafka, candles, indicators, signals, TimescaleDB and notifications" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
RUN groupadd --gid 10001 kandle \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/kandle --shell /usr/sbin/nologin kandle \
 && install --directory --owner=kandle --group=kandle --mode=0750 /var/lib/kandle
COPY --from=builder /opt/kandle /opt/kandle
COPY --chmod=0755 infra/docker/entrypoint.sh /usr/local/bin/kandle-entrypoint
ENV PATH=/opt/kandle/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_DIR=/tmp/kernels \
    KANDLE_DATA_DIR=/var/lib/kandle \
    KANDLE_METRICS__HOST=0.0.0.0 \
    KANDLE_METRICS__PORT=9100
WORKDIR /var/lib/kandle
USER 10001:10001
EXPOSE 9100 8765
STOPSIGNAL SIGTERM
ENTRYPOINT ["kandle-entrypoint"]
CMD ["--help"]
