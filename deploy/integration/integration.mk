# Targets that start real servers. Everything they need is fetched and built once, into deploy/servers/run.
# Long forms: make integration LONG=1, make faults LONG=1.

INTEGRATION      = go test -tags integration -count=1 -v ./deploy/integration
INTEGRATION_LONG = $(if $(LONG),-rounds=200)
FAULTS_LONG      = $(if $(LONG),-kills=100 -broker-kills=10 -burst-seeds=20 -own-writes=10000)

.PHONY: integration-servers integration faults

integration-servers:
	deploy/servers/setup.sh kafka collector telemetrygen

.PHONY: integration-alertmanager
integration-alertmanager:
	deploy/servers/setup.sh alertmanager

.PHONY: integration-stores
integration-stores: integration-servers
	deploy/servers/setup.sh jaeger prometheus elasticsearch redis promtool amtool schemathesis kosoku

integration: integration-stores ## real Kafka, collectors, Jaeger, Prometheus, Elasticsearch and Redis against watchingcat; latency from Kafka to webhook
	$(INTEGRATION) -timeout 60m -run 'TestCollector|TestKafkaTokens|TestMetrics|TestCompose|TestLatency$$|TestRulesAPI|TestRawStores|TestPromQL|TestClients|TestDocument|TestRemoteWrite' $(INTEGRATION_LONG)
	go test -tags integration -count=1 -v ./api/live -run TestAutobahn

faults: integration-servers integration-alertmanager ## real kills of watchingcat and Kafka, full disk, and the like, against an oracle
	$(INTEGRATION) -timeout 60m -run 'TestBackup|TestBurst|TestKill|TestAlertKill|TestReplay|TestBrokerKill|TestBrokerDown|TestTopic|TestWrong|InUse|TestDisk|TestFewDescriptors|TestDataFolderDeleted|TestReadersOfALargeTrace|TestReadYourWrites|TestRetention|TestKeptTraces' $(FAULTS_LONG)
	$(if $(LONG),$(INTEGRATION) -timeout 60m -run 'TestKill$$|TestBurst' -real-kafka -kills=20 -burst-seeds=20)

.PHONY: bench-latency
bench-latency: integration-servers ## Kafka's acknowledgement to webhook under 10K spans/s and 1,000 rules, beside Collector, Prometheus and Alertmanager
	deploy/servers/setup.sh prometheus alertmanager
	$(INTEGRATION) -timeout 30m -run 'TestLatencyUnderLoad' $(INTEGRATION_LONG)
