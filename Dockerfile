# One build, one target per service: docker build --target collector .
# Targets: collector, consumer, api-backend, standalone, loadgen.

# The page
FROM node:22-bookworm-slim AS page
WORKDIR /source/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY dashboard .
RUN npm run build

FROM rust:1.95-bookworm AS sources
# librdkafka, SQLite and zstd are built from source; the rest of this list is in the base image, and named so that any Debian will do
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ libssl-dev make pkg-config zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .

# Dependencies and their features are chosen for the whole workspace, so that they are built once for all targets, in a shared cache;
# each target links its own program only.
FROM sources AS build-collector
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --locked --release --workspace --bin collector && install -D target/release/collector /out/collector

FROM sources AS build-consumer
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --locked --release --workspace --bin consumer && install -D target/release/consumer /out/consumer

FROM sources AS build-api-backend
COPY --from=page /source/dashboard/dist dashboard/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --locked --release --workspace --bin api-backend && install -D target/release/api-backend /out/api-backend

FROM sources AS build-standalone
COPY --from=page /source/dashboard/dist dashboard/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --locked --release --workspace --bin standalone && install -D target/release/standalone /out/standalone

FROM sources AS build-loadgen
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --locked --release --workspace --bin loadgen && install -D target/release/loadgen /out/loadgen

FROM debian:bookworm-slim AS runtime
# libssl3 and zlib1g: librdkafka's TLS and compression
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 service \
 && useradd --uid 10001 --gid service --no-create-home --shell /usr/sbin/nologin service
STOPSIGNAL SIGTERM

# Runs as root: the host's files under /host and the Docker socket belong to the host's root, and no other user may read them all.
# The compose file takes its capabilities away.
FROM runtime AS collector
COPY --from=build-collector /out/collector /usr/local/bin/
ENV HOST_ROOT=/host
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["collector", "--healthcheck"]
ENTRYPOINT ["collector"]

FROM runtime AS consumer
COPY --from=build-consumer /out/consumer /usr/local/bin/
USER service
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["consumer", "--healthcheck"]
ENTRYPOINT ["consumer"]

FROM runtime AS api-backend
COPY --from=build-api-backend /out/api-backend /usr/local/bin/
USER service
ENV LISTEN_ADDR=0.0.0.0:8004
EXPOSE 8004
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["api-backend", "--healthcheck"]
ENTRYPOINT ["api-backend"]

# Measures the container it runs in, unless it is given the host as the collector's compose file does.
FROM runtime AS standalone
COPY --from=build-standalone /out/standalone /usr/local/bin/
RUN install -d -o service -g service /var/lib/standalone/data
USER service
WORKDIR /var/lib/standalone
VOLUME /var/lib/standalone/data
ENV LISTEN_ADDR=0.0.0.0:8004
EXPOSE 8004
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["standalone", "--healthcheck"]
ENTRYPOINT ["standalone"]

FROM runtime AS loadgen
COPY --from=build-loadgen /out/loadgen /usr/local/bin/
USER service
ENTRYPOINT ["loadgen"]
