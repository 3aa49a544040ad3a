import type { Onboarding } from '../api/types'

const text = (s: string): string => (/^[A-Za-z][\w.-]*$/.test(s) ? s : JSON.stringify(s))

/** A value that the Collector reads from its environment. */
const env = (name: string): string => `$\{env:${name}}`

/** The configuration of a Collector that sends to the topics. Credentials are read from its environment. */
export function collectorConfig(o: Onboarding): string {
  const read = o.topics.filter((t) => t.topic !== null)
  const lines = [
    'receivers:',
    '  otlp:',
    '    protocols:',
    '      grpc: {endpoint: 0.0.0.0:4317}',
    '      http: {endpoint: 0.0.0.0:4318}',
    'processors:',
    '  batch: {timeout: 200ms, send_batch_size: 1024, send_batch_max_size: 2048}',
    'exporters:',
    '  kafka:',
    `    brokers: [${o.brokers.map((b) => JSON.stringify(b)).join(', ')}]`,
    ...read.map((t) => `    ${t.signal}: {topic: ${text(t.topic as string)}, encoding: otlp_proto}`),
    '    partition_traces_by_id: true',
    '    producer: {required_acks: -1, compression: zstd, max_message_bytes: 10000000}',
    '    retry_on_failure: {enabled: true, max_elapsed_time: 0s}',
    '    sending_queue: {enabled: true, storage: file_storage}',
  ]
  if (o.tls) lines.push('    tls: {} # ca_file, cert_file and key_file if your brokers need them')
  if (o.sasl_mechanism !== null)
    lines.push(
      '    auth:',
      '      sasl:',
      `        mechanism: ${text(o.sasl_mechanism)}`,
      `        username: ${env('KAFKA_USERNAME')}`,
      `        password: ${env('KAFKA_PASSWORD')}`,
    )
  lines.push(
    'extensions:',
    '  file_storage: {directory: /var/lib/otelcol}',
    'service:',
    '  extensions: [file_storage]',
    '  pipelines:',
    ...read.map((t) => `    ${t.signal}: {receivers: [otlp], processors: [batch], exporters: [kafka]}`),
  )
  return `${lines.join('\n')}\n`
}

/** An address as senders elsewhere reach it: one that listens on all interfaces has the host of this page. */
function reachable(address: string, host: string): string {
  const port = address.slice(address.lastIndexOf(':'))
  return /^(0\.0\.0\.0|\[::\])?$/.test(address.slice(0, -port.length)) ? host + port : address
}

/** How applications and Collectors send OTLP here; undefined without receivers. host is that of the page. */
export function senderConfig({ otlp }: Onboarding, host: string): string | undefined {
  if (otlp === null) return undefined
  const scheme = otlp.tls ? 'https' : 'http'
  const address = otlp.http ?? otlp.grpc
  if (address === null) return undefined
  const lines = [
    '# applications: environment of the OpenTelemetry SDK',
    `OTEL_EXPORTER_OTLP_ENDPOINT=${scheme}://${reachable(address, host)}`,
    `OTEL_EXPORTER_OTLP_PROTOCOL=${otlp.http === null ? 'grpc' : 'http/protobuf'}`,
  ]
  if (otlp.token) lines.push('OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN')
  const grpc = otlp.grpc !== null
  lines.push(
    '',
    '# Collectors: exporter of a pipeline',
    'exporters:',
    grpc ? '  otlp:' : '  otlphttp:',
    `    endpoint: ${grpc ? reachable(otlp.grpc as string, host) : `${scheme}://${reachable(address, host)}`}`,
  )
  if (!otlp.tls) lines.push('    tls: {insecure: true}')
  if (otlp.token) lines.push(`    headers: {authorization: "Bearer ${env('WATCHINGCAT_OTLP_TOKEN')}"}`)
  lines.push('    retry_on_failure: {enabled: true, max_elapsed_time: 0s}', '    sending_queue: {enabled: true, storage: file_storage}')
  return `${lines.join('\n')}\n`
}

export interface Step {
  id: string
  title: string
  done: boolean
  /** What is known of it now. */
  state: string
  /** What to do while it is not done. */
  advice: string
}

const nouns = { traces: 'spans', metrics: 'metrics', logs: 'log records' } as const

/** What has to happen, in order. A signal that is not read has no step. */
export function stepsOf(o: Onboarding, count: (n: number) => string): Step[] {
  const read = o.topics.filter((t) => t.topic !== null)
  const missing = read.filter((t) => !t.exists)
  return [
    {
      id: 'broker',
      title: 'Broker reachable',
      done: o.reachable,
      state: o.reachable ? o.brokers.join(', ') : (o.error ?? 'No broker has answered yet.'),
      advice:
        'Check WATCHINGCAT_KAFKA_BROKERS, the network between WatchingCat and the brokers, and WATCHINGCAT_KAFKA_TLS and WATCHINGCAT_KAFKA_SASL_* if the brokers require them.',
    },
    {
      id: 'topics',
      title: 'Topics exist',
      done: o.reachable && missing.length === 0,
      state:
        missing.length === 0 || !o.reachable ? read.map((t) => t.topic).join(', ') : `Missing: ${missing.map((t) => t.topic).join(', ')}`,
      advice:
        'Create them, or start the Collector: its first record creates a topic if the brokers have auto.create.topics.enable. Other names are set by WATCHINGCAT_KAFKA_TRACES_TOPIC, _METRICS_TOPIC and _LOGS_TOPIC.',
    },
    ...read.map((t): Step => {
      const noun = nouns[t.signal]
      const unread = t.received === 0 && t.records > 0
      return {
        id: t.signal,
        title: `First ${noun}`,
        done: t.received > 0,
        state:
          t.received > 0
            ? `${count(t.received)} received`
            : unread
              ? `${t.topic} holds records, none of them read yet`
              : `Waiting for ${t.topic}`,
        advice: unread
          ? `Records are in the topic. If this stays, they are not OTLP or cannot be decoded: use encoding otlp_proto or otlp_json, and see the dead letters on the Pipeline page${o.dead_letters > 0 ? ` (${count(o.dead_letters)})` : ''}.`
          : o.embedded
            ? `Let an application or a Collector send ${noun} with the settings below. If nothing arrives, the log of the sender names the error.`
            : `Start the Collector with the configuration below and let an application export ${noun} to its port 4317 or 4318. If nothing arrives, the Collector's log names errors of exporter kafka.`,
      }
    }),
  ]
}
