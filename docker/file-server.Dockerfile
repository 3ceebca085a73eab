# file-server: the archive. Build from the repository's root: docker build -f docker/file-server.Dockerfile -t talkburst/file-server .
FROM swift:6.3-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq librdkafka-dev libhiredis-dev libjansson-dev libopus-dev libmp3lame-dev libwebsockets-dev \
    libsqlite3-dev libcurl4-openssl-dev libssl-dev $([ "$(dpkg --print-architecture)" = amd64 ] && echo libipsec-mb-dev) && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --product file-server --static-swift-stdlib

FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq librdkafka1 libjansson4 libwebsockets17 libwebsockets-evlib-ev libev4 libsqlite3-0 libcurl4 libssl3 ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/talkburst talkburst
COPY --from=build /src/.build/release/file-server /usr/bin/file-server
COPY schemas /usr/share/talkburst/schemas

COPY config/file-server.json5 /etc/talkburst/file-server.json5
USER talkburst
WORKDIR /var/lib/talkburst
EXPOSE 8090
ENTRYPOINT ["file-server", "--config", "/etc/talkburst/file-server.json5"]
