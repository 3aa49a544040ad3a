# `make demo` and `make test` need Go and make alone; every other target installs what it needs.
SHELL := /bin/bash
GO ?= go
BIN := build/watchingcat
LDFLAGS ?= -s -w
# A number of inputs, not a duration: until Go 1.27 a duration may end as "context deadline exceeded" on a busy machine (golang/go#75804).
FUZZTIME ?= 10000x
SEEDS ?= 1000

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## build build/watchingcat, without the tables of debuggers (LDFLAGS= keeps them)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/watchingcat

# Releases, the image and this target build with the same flags; a test compares them.
.PHONY: reproduce
reproduce: ## build the binary of the release VERSION for GOOS and GOARCH, and print its SHA-256
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(VERSION)' -o build/reproduced/watchingcat ./cmd/watchingcat
	cd build/reproduced && sha256sum watchingcat

.PHONY: release-files
release-files: reproduce ## what packages hold beside the binary, into build/release: manual pages, completions, licences, all settings
	rm -rf build/release && mkdir -p build/release/completions
	./build/reproduced/watchingcat man build/release/man && gzip -9n build/release/man/man*/*
	./build/reproduced/watchingcat completion bash > build/release/completions/watchingcat.bash
	./build/reproduced/watchingcat completion zsh > build/release/completions/_watchingcat
	./build/reproduced/watchingcat completion fish > build/release/completions/watchingcat.fish
	env -i ./build/reproduced/watchingcat config print > build/release/watchingcat.yml.example
	$(GO) run ./deploy/licenses/notices > build/release/THIRD_PARTY_NOTICES

GORELEASER ?= $(GO) run github.com/goreleaser/goreleaser/v2@v2.17.1
.PHONY: release-check
release-check: ## a release of the last commit by goreleaser, not published, without images, signatures and SBOMs, and a look into its files
	MAKE=$(MAKE) GO=$(GO) GORELEASER='$(GORELEASER)' .ci/release-check

.PHONY: reproducible
reproducible: ## build twice, in two folders, the second time without Go's build cache: the binaries must be equal
	MAKE=$(MAKE) .ci/reproducible

.PHONY: demo
demo: build ## a broker, a simulated shop, views, alerts and the page on http://127.0.0.1:8090
	./$(BIN) demo

.PHONY: test
test: ## every test that needs no server
	$(GO) vet -stdmethods=false ./...
	$(GO) test ./...

.PHONY: race
race: ## the same with the race detector, without the many simulations
	CGO_ENABLED=1 $(GO) test -race ./...

.PHONY: lint
lint: ## golangci-lint, govulncheck, functions that only tests call, and a linter for api/openapi.yaml (needs Node)
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
	GO=$(GO) .ci/deadcode
	mkdir -p build && cp api/rest/rest.gen.go build/rest.gen.was && $(GO) generate ./api/... && cmp api/rest/rest.gen.go build/rest.gen.was # else commit what `make generate` wrote
	-$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes @redocly/cli@2.77.0 lint --config .redocly.yaml api/openapi.yaml

.PHONY: packages
packages: ## check the Helm chart, the Kustomize base, the Compose file, the unit of systemd, the deb and the rpm, the image, the release and the commands of README.md
	cd deploy/packages && $(GO) vet ./... && $(GO) test ./...

.PHONY: fuzz
fuzz: ## every fuzz target with FUZZTIME inputs each (10000x)
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

.PHONY: sim
sim: ## SEEDS simulations of the views and of the whole ingest path
	$(GO) test ./views -run TestSimulation -sim.seeds $(SEEDS)
	$(GO) test ./pipeline/replay -run TestSimulation -sim.seeds $(SEEDS)

.PHONY: insight
insight: ## how often evidence names the service at fault, on a folder DATA of the data set Nezha (one day, with baseline)
	$(GO) run ./deploy/insight -data '$(DATA)'

.PHONY: bench
bench: ## what a span costs, beside its peers
	cd deploy/bench && $(GO) run .

.PHONY: bench-reads
bench-reads: ## how long questions take on millions of traces while spans come in
	cd deploy/bench && $(GO) run ./reads

.PHONY: bench-search
bench-search: ## how long a search by a rare attribute takes among ten million traces whose spans are kept
	cd deploy/bench && $(GO) run ./reads -spans -rounds 50 -only attribute

.PHONY: bench-process
bench-process: integration-servers ## CPU and memory of whole processes that drain one Kafka backlog, beside a Collector
	cd deploy/bench && $(GO) run ./process

.PHONY: bench-clients
bench-clients: integration-servers ## how long 1,000 users wait, with 1,000 WebSockets open, while 10K spans/s come in
	cd deploy/bench && $(GO) run ./process -clients 1000

.PHONY: bench-k6
bench-k6: integration-servers ## the same, with k6 as the users: fails over 200 ms at p95, or with an error
	deploy/servers/setup.sh k6
	cd deploy/bench && $(GO) run ./process -clients 1000 -k6 ../servers/run/k6

.PHONY: bench-page
bench-page: build ## what the first page costs a browser with 500 services at 4 updates/s (needs Node and Chromium)
	cd api/ui && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund && WATCHINGCAT_BIN=$(CURDIR)/$(BIN) node scripts/bench-page.mjs

.PHONY: ui
ui: ## build the page into api/ui/dist (needs Node)
	cd api/ui && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund && npm run build

.PHONY: e2e
e2e: build ## the page's own tests, then a real browser against the demo (needs Node and Chromium)
	node --check deploy/k6/clients.mjs
	cd api/ui && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund && npm run check && npm run looks && WATCHINGCAT_BIN=$(CURDIR)/$(BIN) npx playwright test

.PHONY: looks
looks: ## compare the page's components with their pictures; LOOKS=--update-snapshots rewrites these (needs Node and Chromium)
	cd api/ui && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund && npm run looks -- $(LOOKS)

.PHONY: generate
generate: ## server interfaces from api/openapi.yaml
	$(GO) generate ./api/...

.PHONY: update
update: ## rewrite golden files; review the difference
	$(GO) test ./views -rewrite
	$(GO) test ./api -update
	$(GO) test ./deploy/licenses -update
	$(GO) test ./cmd/watchingcat/cli -run "TestHelp|TestConfigPrint|TestSettingsDocument" -update

.PHONY: upgrade-state
upgrade-state: ## write the state of this program for the upgrade test, under the name VERSION: at each release
	$(GO) test ./cmd/watchingcat/cli -count=1 -run 'TestUpgrade$$' -write-state '$(VERSION)'

-include deploy/integration/integration.mk
