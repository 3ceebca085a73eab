# bo-server: groups, talks, events, the console. Build from the repository's root: docker build -f docker/bo-server.Dockerfile -t talkburst/bo-server .
FROM swift:6.3-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq librdkafka-dev libhiredis-dev libjansson-dev libopus-dev libmp3lame-dev libwebsockets-dev \
    libsqlite3-dev libcurl4-openssl-dev libssl-dev $([ "$(dpkg --print-architecture)" = amd64 ] && echo libipsec-mb-dev) && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --product bo-server --static-swift-stdlib

FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq librdkafka1 libjansson4 libhiredis0.14 libwebsockets17 libwebsockets-evlib-ev libev4 libsqlite3-0 libcurl4 libssl3 libjs-janus-gateway ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/talkburst talkburst
COPY --from=build /src/.build/release/bo-server /usr/bin/bo-server
COPY schemas /usr/share/talkburst/schemas
COPY web /usr/share/talkburst/web
COPY config/bo-server.json5 /etc/talkburst/bo-server.json5
USER talkburst
WORKDIR /var/lib/talkburst
EXPOSE 8080
ENTRYPOINT ["bo-server", "--config", "/etc/talkburst/bo-server.json5"]
