# docker build -t ssequel:0.1.0 .
#
# Two stages: the first has the compiler, the second what the program needs to run and nothing that could change it.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake ninja-build g++ pkg-config libuv1-dev node-llhttp libyaml-cpp-dev \
    prometheus-cpp-dev libexpected-dev libfmt-dev zlib1g-dev libssl-dev libhiredis-dev libsqlite3-dev \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY proxy proxy
RUN cmake --preset release -DSSEQUEL_TESTS=OFF -DSSEQUEL_BENCH=OFF \
 && cmake --build --preset release --target ssequel \
 && strip build/release/ssequel

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libuv1 libyaml-cpp0.7 libprometheus-cpp-core1.0 libssl3 libhiredis0.14 \
    libsqlite3-0 zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=build /src/build/release/ssequel /usr/local/bin/ssequel
RUN ["ssequel", "--version"]
USER 65532:65532
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["ssequel"]
CMD ["--config", "/etc/ssequel/ssequel.yaml"]
