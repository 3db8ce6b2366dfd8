# Two images from one file:
#
#   docker build -t ssequel:0.1.0 .                      # one static program and a CA bundle, nothing else
#   docker build --target slim -t ssequel:0.1.0-slim .   # Debian and shared libraries; libpq, which cannot be static,
#                                                        # makes this the one that can take ids from PostgreSQL
#
# DEBIAN is the release that the program is built on (bookworm or trixie), and that the slim one runs on. BASE names an
# image of it where another registry has it.
ARG DEBIAN=bookworm
ARG BASE=debian:${DEBIAN}-slim

FROM ${BASE} AS tools
COPY tests/install.sh /src/tests/install.sh
RUN /src/tests/install.sh build
# What was compiled once is kept between builds; a build that mounts a cache elsewhere says so.
ARG CCACHE_DIR=/root/.cache/ccache
WORKDIR /src

# The one library that Debian has no archive of, from Debian's source package.
FROM tools AS prometheus
RUN . /etc/os-release \
 && echo "deb-src http://deb.debian.org/debian $VERSION_CODENAME main" >/etc/apt/sources.list.d/source.list \
 && apt-get update -q \
 && cd /tmp && apt-get source -q --download-only --tar-only prometheus-cpp \
 && mkdir source && tar xf prometheus-cpp_*.orig.tar.* -C source --strip-components=1
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake -G Ninja -S /tmp/source -B /tmp/build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_SHARED_LIBS=OFF \
      -DENABLE_PULL=OFF -DENABLE_PUSH=OFF -DENABLE_COMPRESSION=OFF -DENABLE_TESTING=OFF \
      -DCMAKE_INSTALL_PREFIX=/usr/local -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
 && cmake --build /tmp/build && cmake --install /tmp/build

FROM prometheus AS static-build
COPY CMakeLists.txt CMakePresets.json ./
COPY proxy proxy
# The linker warns of getaddrinfo and the like. What they need at run time is part of glibc 2.34 and later: names are
# resolved by files and dns, as nsswitch.conf says.
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset static && cmake --build --preset static && strip -o /ssequel build/static/ssequel
RUN mkdir -p /empty /root-of-image/etc/ssl/certs /root-of-image/etc/ssequel /root-of-image/usr/local/bin \
 && cp /ssequel /root-of-image/usr/local/bin/ \
 && cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ \
 && echo 'ssequel:x:65532:65532::/nonexistent:/nonexistent' >/root-of-image/etc/passwd \
 && echo 'ssequel:x:65532:' >/root-of-image/etc/group \
 && echo 'hosts: files dns' >/root-of-image/etc/nsswitch.conf

FROM tools AS slim-build
COPY CMakeLists.txt CMakePresets.json ./
COPY proxy proxy
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release -DSSEQUEL_TESTS=OFF -DSSEQUEL_POSTGRES=ON && cmake --build --preset release --target ssequel \
 && strip -o /ssequel build/release/ssequel
# The packages of the libraries that it was linked with, whatever this release of Debian calls them.
RUN ldd /ssequel | awk '$3 ~ /^\// {print $3}' | xargs -n 1 realpath | sed 's|.*/|*/|' | xargs dpkg -S | cut -d: -f1 \
    | sort -u >/packages

FROM ${BASE} AS slim
COPY --from=slim-build /packages /tmp/packages
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ca-certificates $(cat /tmp/packages) \
 && rm -rf /tmp/packages /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt \
 && mkdir -p /etc/ssequel && install -d -o 65532 -g 65532 /var/lib/ssequel
COPY --from=slim-build /ssequel /usr/local/bin/ssequel
RUN ["ssequel", "--version"]
LABEL org.opencontainers.image.title="Ssequel" \
      org.opencontainers.image.description="A sidecar that makes Server-Sent Events resumable" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["ssequel", "healthcheck"]
ENTRYPOINT ["ssequel"]
CMD ["--config", "/etc/ssequel/ssequel.yaml"]

FROM scratch AS static
COPY --from=static-build /root-of-image /
# Where a disk store goes unless a volume is mounted there.
COPY --from=static-build --chown=65532:65532 /empty /var/lib/ssequel
ENV PATH=/usr/local/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
LABEL org.opencontainers.image.title="Ssequel" \
      org.opencontainers.image.description="A sidecar that makes Server-Sent Events resumable" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["ssequel", "healthcheck"]
ENTRYPOINT ["ssequel"]
CMD ["--config", "/etc/ssequel/ssequel.yaml"]
