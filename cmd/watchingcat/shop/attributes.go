package shop

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

func servedHTTP(o *operation, status int64) func(pcommon.Map) {
	return func(m pcommon.Map) {
		method, route, _ := strings.Cut(o.name, " ")
		m.PutStr("http.request.method", method)
		m.PutStr("http.route", route)
		m.PutStr("url.path", route)
		m.PutStr("url.scheme", "https")
		m.PutStr("server.address", o.service)
		m.PutInt("server.port", 8080)
		m.PutStr("client.address", "10.8.3.17")
		m.PutStr("network.protocol.version", "1.1")
		m.PutStr("network.peer.address", "10.8.3.17")
		m.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0")
		m.PutInt("http.response.status_code", status)
		m.PutInt("thread.id", 27)
	}
}

func servedGRPC(o *operation, status int64) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("rpc.system", "grpc")
		m.PutStr("rpc.service", "shop."+o.service)
		m.PutStr("rpc.method", o.name)
		m.PutInt("rpc.grpc.status_code", status)
		m.PutStr("server.address", o.service)
		m.PutInt("server.port", 8080)
		m.PutStr("network.peer.address", "10.8.3.17")
		m.PutInt("network.peer.port", 51234)
		m.PutStr("network.transport", "tcp")
		m.PutInt("thread.id", 27)
		m.PutStr("thread.name", "grpc-default-executor-3")
	}
}

func consumed(o *operation) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("messaging.system", "kafka")
		m.PutStr("messaging.destination.name", firstWord(o.name))
		m.PutStr("messaging.operation.type", "process")
		m.PutStr("messaging.consumer.group.name", o.service)
		m.PutStr("messaging.client.id", o.service+"-0")
		m.PutInt("messaging.kafka.offset", 182_400)
		m.PutStr("messaging.destination.partition.id", "2")
		m.PutInt("messaging.message.body.size", 912)
		m.PutInt("thread.id", 27)
	}
}

func queried(db *dbCall) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("db.system.name", db.system)
		if db.name != "" {
			m.PutStr("db.namespace", db.name)
		}
		m.PutStr("db.query.summary", db.query)
		m.PutStr("db.query.text", db.query+" WHERE tenant_id = ? AND id = ?")
		m.PutStr("db.operation.name", firstWord(db.query))
		m.PutStr("server.address", db.system+".data.svc.cluster.local")
		m.PutInt("server.port", 5432)
		m.PutStr("network.peer.address", "10.8.9.4")
		m.PutStr("network.transport", "tcp")
		m.PutInt("thread.id", 27)
	}
}

func published(topic, service string) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("messaging.system", "kafka")
		m.PutStr("messaging.destination.name", topic)
		m.PutStr("messaging.operation.type", "send")
		m.PutStr("messaging.client.id", service+"-0")
		m.PutInt("messaging.message.body.size", 912)
		m.PutStr("server.address", "kafka.data.svc.cluster.local")
		m.PutInt("thread.id", 27)
	}
}

func calledHost(host string) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("http.request.method", "POST")
		m.PutStr("server.address", host)
		m.PutInt("http.response.status_code", 200)
	}
}

func called(to *operation) func(pcommon.Map) {
	return func(m pcommon.Map) {
		m.PutStr("server.address", to.service)
		m.PutInt("server.port", 8080)
		m.PutStr("url.full", "http://"+to.service+".shop.svc.cluster.local:8080/")
		m.PutStr("network.protocol.version", "1.1")
		m.PutStr("network.peer.address", "10.8.4.21")
		m.PutInt("network.peer.port", 8080)
		m.PutStr("network.transport", "tcp")
		m.PutStr("http.request.method", "POST")
		m.PutInt("thread.id", 27)
	}
}

// stack is a stack trace of the span's exception, as a Java program prints it.
func (sp *span) stack() string {
	class := "shop." + strings.ReplaceAll(sp.service, "-", "_") + ".Handler"
	return "shop.Error: " + sp.description + "\n" +
		"\tat " + class + "." + strings.ToLower(firstWord(sp.name)) + "(Handler.java:118)\n" +
		"\tat " + class + ".serve(Handler.java:64)\n" +
		"\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)\n" +
		"\tat java.base/java.util.concurrent.ThreadPoolExecutor$Worker.run(ThreadPoolExecutor.java:642)\n" +
		"\tat java.base/java.lang.Thread.run(Thread.java:1583)\n"
}
