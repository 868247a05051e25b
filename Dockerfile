# dato-mirror as a container: one static binary on an empty root file system, as a user that is not root.
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     -v brand:/mirror:ro -v dato-mirror-state:/var/lib/dato-mirror \
#     -v ./token:/run/secrets/datocms:ro -e DATO_MIRROR_API_TOKEN_FILE=/run/secrets/datocms \
#     -e DATO_MIRROR_ROOT=/mirror -e DATO_MIRROR_NAME=brand dato-mirror
#
# With a configuration file: mount it, name it with DATO_MIRROR_CONFIG, and leave DATO_MIRROR_ROOT out. The user 65532 must
# be able to read the folder and the token; --user and --group-add choose others.
#
# The binary is built from this folder, or, with `--build-arg BINARY=released`, taken from image/ as
# packaging/stage-image.sh laid it there: the releases' images hold the very files of their archives.
ARG BINARY=build

# Alpine's own target is musl, so that the binary is static without a cross compiler, on amd64 and arm64 alike.
FROM rust:1.95-alpine AS build
# For SQLite and the TLS library, which are C.
RUN apk add --no-cache musl-dev gcc make cmake perl ca-certificates
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
# The dependencies alone first: they are compiled again only when they change.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -r src
COPY . .
# Cargo goes by times, and those of the sources may be older than those of the stand-ins.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin dato-mirror \
    # A binary that needs a loader would not start from scratch: better to fail here.
    && readelf -l target/release/dato-mirror > /tmp/headers && ! grep INTERP /tmp/headers \
    && mkdir -p /out/state && cp target/release/dato-mirror /etc/ssl/certs/ca-certificates.crt /out/

# One for each architecture; nothing runs here, so any machine makes the images of all.
FROM scratch AS released
ARG TARGETARCH
COPY image/${TARGETARCH}/ /out/

FROM ${BINARY} AS binary

FROM scratch
COPY --from=binary /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=binary /out/dato-mirror /dato-mirror
# An empty volume takes over the owner of the folder it is mounted on.
COPY --from=binary --chown=65532:65532 /out/state /var/lib/dato-mirror
# Everywhere inside the container; publish the port only where you want it to be read.
ENV DATO_MIRROR_STATE_PATH=/var/lib/dato-mirror/index.sqlite \
    DATO_MIRROR_STATUS_LISTEN=0.0.0.0:7878
USER 65532:65532
VOLUME /var/lib/dato-mirror
EXPOSE 7878
STOPSIGNAL SIGTERM
# Healthy is not ready: a first sync of hours is healthy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/dato-mirror", "healthcheck"]
ENTRYPOINT ["/dato-mirror"]
