# media-service: rooms, floor, media, recordings. Build from the repository's root: docker build -f docker/media-service.Dockerfile -t talkburst/media-service .
FROM swift:6.3-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq librdkafka-dev libhiredis-dev libjansson-dev libopus-dev libmp3lame-dev libwebsockets-dev \
    libsqlite3-dev libcurl4-openssl-dev libssl-dev $([ "$(dpkg --print-architecture)" = amd64 ] && echo libipsec-mb-dev) && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --product media-service --static-swift-stdlib

FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq librdkafka1 libjansson4 libhiredis0.14 libopus0 libmp3lame0 libwebsockets17 libwebsockets-evlib-ev libev4 libssl3 $([ "$(dpkg --print-architecture)" = amd64 ] && echo libipsec-mb1) ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/talkburst talkburst
COPY --from=build /src/.build/release/media-service /usr/bin/media-service
COPY schemas /usr/share/talkburst/schemas

COPY config/media-service.json5 /etc/talkburst/media-service.json5
USER talkburst
WORKDIR /var/lib/talkburst
EXPOSE 8088 8188 10000-10063/udp 10000-10063/tcp
ENTRYPOINT ["media-service", "--config", "/etc/talkburst/media-service.json5"]
