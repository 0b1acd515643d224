FROM rust:1.95-slim-bookworm AS build
WORKDIR /carillon

# Dependencies first: this layer is built again only when they change. The manifest names a test, so there must be one.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir -p src tests/promises \
    && touch src/lib.rs tests/promises/main.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --profile dist --locked \
    && rm -r src

# Migrations, templates and the demo page become part of the program.
COPY migrations migrations
COPY templates templates
COPY client-js client-js
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --profile dist --locked

FROM debian:bookworm-slim
# The roots that PostgreSQL, Redis and key sets over TLS are verified with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 carillon \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/carillon --create-home --shell /usr/sbin/nologin carillon
COPY --from=build /carillon/target/dist/carillon /usr/local/bin/carillon
COPY LICENSE /usr/share/doc/carillon/LICENSE

# JWT_SECRET_KEY and BACKEND_SERVICE_TOKEN are yours to give; without them it does not start.
ENV CARILLON_ENV=production \
    DATABASE_URL=sqlite:////var/lib/carillon/carillon.db
# By number, so that Kubernetes sees that it is not root.
USER 10001:10001
WORKDIR /var/lib/carillon
VOLUME /var/lib/carillon
EXPOSE 5002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s CMD ["carillon", "health"]
ENTRYPOINT ["carillon"]
CMD ["serve"]
