# Debian, because google-re2 has no wheel for Alpine's musl.
FROM python:3.13-slim-trixie AS build

# The environment of the router has no pip of its own: the image's pip installs into it.
RUN python -m venv --without-pip /opt/router
WORKDIR /src

# What changes seldom first: a change of the project alone downloads nothing.
COPY requirements.lock ./
RUN pip --python /opt/router/bin/python install --no-cache-dir --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY router ./router
COPY docs/reference/lint ./docs/reference/lint
RUN pip --python /opt/router/bin/python install --no-cache-dir --no-deps --no-build-isolation . \
    && install -d -o 65532 -g 65532 /data


FROM python:3.13-slim-trixie

COPY --from=build /opt/router /opt/router
COPY --from=build --chown=65532:65532 /data /data

# The database is the only thing written, and /data is where: the root file system may be read-only.
ENV PATH=/opt/router/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ROUTER_DATABASE=sqlite:////data/router.db \
    ROUTER_LISTEN=0.0.0.0:9095 \
    ROUTER_OWNERSHIP=/etc/router/ownership.yaml
VOLUME /data
WORKDIR /data
EXPOSE 9095
USER 65532:65532

HEALTHCHECK --interval=10s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9095/-/healthy', timeout=3)"]

# No shell in between: SIGTERM arrives at the router, which stops cleanly within 20 s.
ENTRYPOINT ["router"]
CMD ["serve"]
