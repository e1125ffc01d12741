# Every tool is pinned in a module of its own under tools/ and is built by Go.
BUF      = go tool -modfile=tools/buf/go.mod buf
LINT     = go tool -modfile=tools/golangci-lint/go.mod golangci-lint
GRPCURL  = go tool -modfile=tools/grpcurl/go.mod grpcurl
# None of Prometheus' service discoveries is needed, and they are a good part of the build.
PROMTOOL = GOFLAGS=-tags=remove_all_sd go tool -modfile=tools/promtool/go.mod promtool
MODULES  = bench/abuse bench/limits bench/performance deploy/cluster deploy/observe deploy/test deploy/validate examples/conformance examples/go tools/advisories tools/release tools/sbom tools/schema
VECTORS  = server/internal/token/testdata/vectors

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the program: bin/chatidentity (the first time takes a minute or two)
	go build -tags grpcnotrace -o bin/chatidentity ./server

.PHONY: advisories
advisories: build ## Check all that is compiled in against Go's database of security advisories
	go -C tools/advisories test -count=1 ./...
	go -C tools/advisories run . $(CURDIR)/bin/chatidentity

.PHONY: dev
dev: ## Run the sidecar on a stand-in Kustomer
	go run ./server dev

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: ci
ci: ## Run all that CI runs (installs what it needs; Debian)
	.ci/run

.PHONY: proof
proof: ## Run the long proofs: thousands of stops, kills and secret changes, ten million records (an hour or two)
	CHATIDENTITY_PROOF=1 CHATIDENTITY_SECRET_CHANGES=1000 AUDIT_KILLS=200 AUDIT_LONG=1 go test -count=1 -timeout 180m ./...
	cd bench/limits && CHATIDENTITY_PROOF=1 go test -count=1 -v -timeout 30m ./...
	deploy/release-twice.sh
	$(MAKE) --no-print-directory advisories
	deploy/cluster/run.sh
	.ci/fuzz 2m
	$(PROMTOOL) check rules deploy/prometheus/chatidentity.rules.yaml
	$(PROMTOOL) test rules deploy/prometheus/chatidentity.test.yaml

.PHONY: conformance
conformance: ## Drive the example backends in six languages (examples/install.sh installs what they need)
	cd examples/conformance && go test -v -count=1 -timeout 40m .

.PHONY: release
release: ## Make all files of a release out of the last commit: make release VERSION=v1.2.3 (docs/release.md)
	cd tools/release && go run . -version '$(VERSION)' -platforms '$(PLATFORMS)'

.PHONY: image
image: ## Make a release for Linux, build the real image without an engine, run it, and one pod's worth of containers (Debian, root)
	deploy/release-test.sh
	deploy/image-test.sh
	deploy/pod-test.sh

.PHONY: manifests
manifests: ## Render and validate every Kubernetes overlay and the Helm chart
	cd deploy/validate && go test -count=1 -timeout 10m ./...

.PHONY: cluster
cluster: ## Run the manifests on a real Kubernetes of one node (Debian, root; the first run builds Kubernetes, ten minutes)
	deploy/cluster/run.sh $(CLUSTER)

.PHONY: observe
observe: ## Check the rules and the dashboard, and evaluate them over a run of the program (redis; UPDATE=-update writes them anew)
	cd deploy/observe && go test -count=1 -timeout 10m . $(UPDATE)

.PHONY: schema
schema: ## Check the schema of audit records with a JSON Schema validator
	cd tools/schema && go test -count=1 ./...

.PHONY: bench
bench: ## Measure calls, latency and footprint, and write docs/performance.md (a quiet machine; ten minutes at most)
	cd bench/performance && go run . $(BENCH)

.PHONY: bench-others
bench-others: ## Compare with what users of other languages would write (Node, Python, JDK, Maven)
	cd bench/performance && go run . -others $(BENCH)

.PHONY: abuse
abuse: ## Attack the sidecar inside the manifest's limits (a quiet machine, Linux, root for all rows; twenty minutes)
	cd bench/abuse && go run .

.PHONY: abuse-short
abuse-short: ## The same in five minutes, without latencies (CI runs it)
	cd bench/abuse && go run . -short

.PHONY: abuse-innocent
abuse-innocent: ## Show that no defence takes good clients at their worst for attackers
	cd bench/abuse && go run . -innocent

.PHONY: generate
generate: ## Generate gen/ from proto/, docs/metrics.md and docs/reference.md from the program, and the manifests from its container
	$(BUF) generate
	bash examples/generate/generate.sh
	go test -tags grpcnotrace ./server -run 'TestMetricsPage|TestReferencePage' -update
	go test ./server/internal/manifest -run TestGenerated -generate

.PHONY: check-generated
check-generated: generate ## Show that gen/, the generated pages and the manifests are what they are made from
	git diff --exit-code -- gen docs/metrics.md docs/reference.md deploy/kubernetes deploy/helm
	test -z "$$(git status --porcelain -- gen deploy/kubernetes deploy/helm)"

.PHONY: lint
lint: ## Lint the contract and the code
	$(BUF) lint
	$(BUF) format --diff --exit-code
	$(LINT) run ./...
	for module in $(MODULES); do (cd $$module && go tool -modfile=$(CURDIR)/tools/golangci-lint/go.mod golangci-lint run ./...) || exit 1; done

.PHONY: tidy
tidy: ## Show that go.mod is tidy
	go mod tidy -diff

.PHONY: cross
cross: ## Build for what we do not run on
	GOOS=darwin GOARCH=arm64 go vet -tags grpcnotrace ./server/...
	GOOS=windows GOARCH=amd64 go build -tags grpcnotrace -o /dev/null ./server
	for package in ./server ./server/internal/audit/writer; do GOOS=windows GOARCH=amd64 go vet -tags grpcnotrace \
		$$(GOOS=windows GOARCH=amd64 go list -f '{{range .GoFiles}}{{$$.Dir}}/{{.}} {{end}}' $$package) || exit 1; done

.PHONY: vectors
vectors: ## Check the vectors, and the token of dev, with the vendor's own library
	cd $(VECTORS) && npm ci --no-audit --no-fund --silent && npm run --silent check
	go run ./server dev --exit --output json | (cd $(VECTORS) && npm run --silent verify)

.PHONY: fuzz
fuzz: ## Search every parser for inputs that break it (FUZZTIME=1m each)
	.ci/fuzz $(or $(FUZZTIME),1m)

.PHONY: grpcurl
grpcurl: ## Call a running sidecar by reflection (needs `make dev` in another shell)
	$(GRPCURL) -plaintext -d '{"customer":{"external_id":"user_id"}}' 127.0.0.1:9451 chatidentity.v1.ChatIdentityService/IssueToken
