# Three images from one file. `service` (the default) serves the API and has no torch; `runner` measures;
# `node` is a host of a fleet (docs/fleet.md).
#
#   docker build -t tonnage .
#   docker build -t tonnage-runner --target runner .
#   docker build -t tonnage-node --target node .
#
# A workload that trains in an environment of its own needs a runner with that environment: build on
# the runner's image, and name its interpreter in tonnage.toml.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/tonnage
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY probes ./probes
COPY optimizer ./optimizer
COPY finetuning ./finetuning
COPY knowledge ./knowledge
COPY app ./app
COPY migrations ./migrations
RUN /opt/tonnage/bin/pip install --no-cache-dir --constraint requirements.lock ".[postgres]"

FROM build AS build-runner
RUN /opt/tonnage/bin/pip install --no-cache-dir --constraint requirements.lock ".[postgres,torch]"

FROM build-runner AS build-node
RUN /opt/tonnage/bin/pip install --no-cache-dir --constraint requirements.lock ".[postgres,torch,ray]"

FROM python:3.12-slim AS base
RUN useradd --system --uid 10001 --create-home --home-dir /home/tonnage tonnage \
    && install --directory --owner=tonnage --group=tonnage /var/lib/tonnage /config
ENV PATH=/opt/tonnage/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TONNAGE_DATA_DIR=/var/lib/tonnage
# tonnage.toml is looked for in the working directory.
WORKDIR /config
VOLUME /var/lib/tonnage
USER tonnage
ENTRYPOINT ["tonnage"]

FROM base AS runner
COPY --from=build-runner /opt/tonnage /opt/tonnage
# It says in the database that it is alive; a probe from outside would disturb what it measures.
HEALTHCHECK NONE
CMD ["runner"]

FROM base AS node
COPY --from=build-node /opt/tonnage /opt/tonnage
COPY deploy/head.sh deploy/with-secrets.sh /opt/fleet/
# KubeRay asks for the head with `ray`, in a login shell that has a path of its own.
USER root
RUN ln -s /opt/tonnage/bin/ray /usr/local/bin/ray
USER tonnage
# It ends with its node; a probe from outside would disturb what it measures.
HEALTHCHECK NONE
ENTRYPOINT ["/opt/fleet/with-secrets.sh"]
CMD ["tonnage", "fleet", "join", "--help"]

FROM base AS service
COPY --from=build /opt/tonnage /opt/tonnage
EXPOSE 8765
# Any address but this machine's own demands a key: docker run … keys create --scope admin
CMD ["serve", "--host", "0.0.0.0"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
