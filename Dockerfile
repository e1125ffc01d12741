# The image of the sidecar: one static binary, CA certificates, nothing else.
#
#   docker build --build-arg VERSION=1.2.3 -t chatidentity .
#   docker run --rm -p 127.0.0.1:9451:9451 --tmpfs /tmp chatidentity dev --listen 0.0.0.0:9451
#
# Other platforms are cross-compiled: --platform linux/arm64 needs no emulator.

ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM docker.io/library/golang:${GO_VERSION}-bookworm AS build
WORKDIR /src
# Modules are a layer of their own, downloaded again only when they change.
COPY go.mod go.sum ./
RUN go mod download
COPY gen/go/ gen/go/
COPY server/ server/
# What dev --web shows in a browser.
COPY examples/web/ examples/web/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
# The same sources, version and Go give the same binary, byte for byte:
# deploy/image-test.sh builds it twice to see. grpcnotrace leaves out grpc-go's trace pages, whose
# templates would make the linker keep every method of every package: a third of the binary.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -tags grpcnotrace -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /out/usr/local/bin/chatidentity ./server
# Only `dev` writes, and only here.
RUN mkdir -p /out/etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && mkdir -m 1777 /out/tmp

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="chatidentity" \
      org.opencontainers.image.description="gRPC identity sidecar: signs the tokens with which a backend's users log in to Kustomer chat" \
      org.opencontainers.image.source="https://github.com/chatidentity/chatidentity" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH=/usr/local/bin
COPY --from=build /out/ /
# Numeric, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/chatidentity"]
CMD ["serve"]
