# Image of the exporter. It runs without root and writes no file; settings are environment variables (see README.md).

# The Python of both stages.
FROM python:3.13.15-slim-trixie AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM python AS build
COPY requirements/run.txt /tmp/run.txt
# Wheels only: packages cannot run code while they are installed.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --only-binary=:all: --no-deps --require-hashes --requirement /tmp/run.txt
COPY exporter /app/exporter
# Compiled here, because a read-only root cannot store byte code. Files of a clone made with umask 077 are for their owner
# only; COPY --chmod would need BuildKit.
RUN chmod -R go+rX /app \
    && printf '#!/bin/sh\nexec python -m exporter "$@"\n' >/venv/bin/provider-metrics-exporter \
    && chmod 755 /venv/bin/provider-metrics-exporter \
    && python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app

FROM python
# Compiles the standard library, and removes pip and ensurepip.
RUN rm -rf /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/* /usr/local/bin/pip* \
    && python -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python3.*
COPY --from=build /venv /venv
COPY --from=build /app /app
# The command works in every working directory.
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app
WORKDIR /app
USER 65532:65532
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-m", "exporter", "healthcheck"]
ENTRYPOINT ["python", "-m", "exporter"]

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="provider-metrics-exporter" \
      org.opencontainers.image.description="Polls an AI gateway's providers and publishes their health as Prometheus metrics, traces and logs." \
      org.opencontainers.image.version="${VERSION}"
