# Every tool is pinned in a module of its own under tools/ and is built by Go.
BUF      = go tool -modfile=tools/buf/go.mod buf
LINT     = go tool -modfile=tools/golangci-lint/go.mod golangci-lint
GRPCURL  = go tool -modfile=tools/grpcurl/go.mod grpcurl
# None of Prometheus' service discoveries is needed, and they are a good part of the build.
PROMTOOL = GOFLAGS=-tags=remove_all_sd go tool -modfile=tools/promtool/go.mod promtool
MODULES  = bench/abuse bench/limits bench/performance deploy/cluster deploy/observe deploy/test deploy/validate examples/conformance examples/go tools/advisories tools/docs tools/release tools/sbom tools/schema
VECTORS  = server/internal/token/testdata/vectors

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# The long proofs, in parts of at most 25 minutes on two cores. docs/reliability.md says what each shows.
PROOFS = models audit secret stops pod soak server rooms limits fuzz-1 fuzz-2 mutants-1 mutants-2 mutants-3 mutants-4 release cluster observe
PROOF  = PROOF=1 go test -count=1 -timeout 25m
SECRET = Secret
SOAK   = Soak
STOPS  = SIG|Signal|ClosedTerminal|Drain
POD    = ^TestPod$$

.PHONY: proof
proof: $(PROOFS:%=proof-%) ## Run the long proofs, one part after the other (make proof-audit and so on: one part)

.PHONY: proof-models
proof-models: ## The models of the audit log, the limiter and the secret store, through millions of steps
	$(PROOF) -v -run 'Model$$' ./server/internal/audit/writer ./server/internal/ratelimit/redis ./server/internal/secret

.PHONY: proof-audit
proof-audit: ## The audit log: 200 kills, ten million records, every tear
	AUDIT_KILLS=200 AUDIT_LONG=1 $(PROOF) -skip 'Model$$' ./server/internal/audit/...

.PHONY: proof-secret
proof-secret: ## A thousand changes of the secret from each source, under load
	SECRET_CHANGES=1000 $(PROOF) -skip 'Model$$' ./server/internal/secret
	$(PROOF) -run '$(SECRET)' ./server

.PHONY: proof-stops
proof-stops: ## A thousand stops and 200 kills of the program under load, and signals in every state
	$(PROOF) -run '$(STOPS)' ./server

.PHONY: proof-pod
proof-pod: ## What happens to the machine, its network and its volumes (Linux, root)
	CI=true $(PROOF) -v -parallel 1 -run '$(POD)' ./server

.PHONY: proof-soak
proof-soak: ## Twenty minutes of everything at once
	$(PROOF) -v -run '$(SOAK)' ./server

.PHONY: proof-server
proof-server: ## The other tests of the program, in their long form
	$(PROOF) -skip '$(SECRET)|$(STOPS)|$(SOAK)|$(POD)' ./server

.PHONY: proof-rooms
proof-rooms: ## The tests of all other packages, shuffled and twice in one process
	PROOF=1 go test -count=2 -shuffle on -timeout 25m $$(go list ./... | grep -Ev '/server$$|/audit|/secret$$|/ratelimit/redis$$')

.PHONY: proof-limits
proof-limits: ## Shared limits against a Redis that fails, moves and forgets
	$(PROOF) -skip 'Model$$' ./server/internal/ratelimit/redis
	cd bench/limits && PROOF=1 go test -count=1 -v -timeout 25m ./...

# A minute on two cores is two minutes of CPU.
.PHONY: proof-fuzz proof-fuzz-1 proof-fuzz-2
proof-fuzz: proof-fuzz-1 proof-fuzz-2 ## Two minutes of CPU for each fuzz target (in two parts)
proof-fuzz-1:
	.ci/fuzz 1m 1/2
proof-fuzz-2:
	.ci/fuzz 1m 2/2

.PHONY: proof-mutants proof-mutants-1 proof-mutants-2 proof-mutants-3 proof-mutants-4
proof-mutants: proof-mutants-1 proof-mutants-2 proof-mutants-3 proof-mutants-4 ## Which changes of the code no test sees (in four parts)
proof-mutants-1:
	.ci/mutants customer token policy caller
proof-mutants-2:
	.ci/mutants ratelimit audit
proof-mutants-3:
	WITHOUT='^[p-z]' .ci/mutants listen
proof-mutants-4:
	WITHOUT='^[a-o]' .ci/mutants listen

.PHONY: proof-release
proof-release: ## The release, made twice with empty caches, and Go's database of advisories
	deploy/release-twice.sh
	$(MAKE) --no-print-directory advisories

.PHONY: proof-cluster
proof-cluster: ## The manifests in a real cluster
	deploy/cluster/run.sh

.PHONY: proof-observe
proof-observe: ## The rules of Prometheus, by promtool itself
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

.PHONY: docs
docs: ## Run the commands of the pages, and check their links and columns (Linux; DOCS=-external asks other sites too)
	cd tools/docs && go test -count=1 -timeout 20m . $(DOCS)

.PHONY: schema
schema: ## Check the schema of audit records with a JSON Schema validator
	cd tools/schema && go test -count=1 ./...

.PHONY: bench
bench: ## Measure calls, latency and footprint, and write docs/performance*.md (a quiet machine; ten minutes)
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
