import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { Onboarding, OnboardingTopic } from '../api/types'
import { collectorConfig, senderConfig, stepsOf } from './collector'

const topic = (signal: OnboardingTopic['signal'], over: Partial<OnboardingTopic> = {}): OnboardingTopic => ({
  signal,
  topic: `otlp_${signal}`,
  exists: true,
  records: 0,
  received: 0,
  error: null,
  ...over,
})
const installation = (over: Partial<Onboarding> = {}): Onboarding => ({
  brokers: ['kafka-1:9092', 'kafka-2:9092'],
  embedded: false,
  otlp: null,
  tls: false,
  sasl_mechanism: null,
  reachable: true,
  error: null,
  topics: [topic('traces'), topic('metrics'), topic('logs')],
  dead_letters: 0,
  ...over,
})

test('the configuration has the addresses and topics of the installation', () => {
  const c = parse(
    collectorConfig(installation({ topics: [topic('traces', { topic: 'a: b' }), topic('metrics', { topic: null }), topic('logs')] })),
  )
  expect(c.exporters.kafka.brokers).toEqual(['kafka-1:9092', 'kafka-2:9092'])
  expect(c.exporters.kafka.traces).toEqual({ topic: 'a: b', encoding: 'otlp_proto' })
  expect(Object.keys(c.service.pipelines)).toEqual(['traces', 'logs'])
  expect(c.exporters.kafka.auth).toBeUndefined()
})

test('credentials are those of the environment of the Collector', () => {
  const c = parse(collectorConfig(installation({ tls: true, sasl_mechanism: 'SCRAM-SHA-512' })))
  expect(c.exporters.kafka.tls).toEqual({})
  expect(c.exporters.kafka.auth.sasl).toEqual({
    mechanism: 'SCRAM-SHA-512',
    username: `$\{env:KAFKA_USERNAME}`,
    password: `$\{env:KAFKA_PASSWORD}`,
  })
})

test('senders get the addresses of the receivers', () => {
  const config = (otlp: Onboarding['otlp']) => senderConfig(installation({ otlp }), 'cat.example.org') ?? ''
  expect(senderConfig(installation(), 'x')).toBeUndefined()
  const both = config({ grpc: '[::]:4317', http: '0.0.0.0:4318', tls: true, token: true })
  expect(both).toContain('OTEL_EXPORTER_OTLP_ENDPOINT=https://cat.example.org:4318\n')
  expect(both).toContain('HEADERS=Authorization=Bearer%20TOKEN')
  const c = parse(both.slice(both.indexOf('exporters:')))
  expect(c.exporters.otlp.endpoint).toBe('cat.example.org:4317')
  expect(c.exporters.otlp.headers.authorization).toBe(`Bearer $\{env:WATCHINGCAT_OTLP_TOKEN}`)
  expect(c.exporters.otlp.tls).toBeUndefined()
  const http = config({ grpc: null, http: '127.0.0.1:4318', tls: false, token: false })
  expect(parse(http.slice(http.indexOf('exporters:'))).exporters.otlphttp).toMatchObject({
    endpoint: 'http://127.0.0.1:4318',
    tls: { insecure: true },
  })
  expect(config({ grpc: '10.0.0.1:4317', http: null, tls: false, token: false })).toContain('PROTOCOL=grpc')
})

test('steps are done as data arrives', () => {
  const steps = (o: Onboarding) => stepsOf(o, String).map((s) => `${s.id} ${s.done ? 'done' : s.state}`)
  expect(steps(installation({ reachable: false, error: 'refused' })).slice(0, 2)).toEqual([
    'broker refused',
    'topics otlp_traces, otlp_metrics, otlp_logs',
  ])
  const o = installation({
    topics: [topic('traces', { received: 5, records: 1 }), topic('metrics', { topic: null }), topic('logs', { exists: false })],
  })
  expect(steps(o)).toEqual(['broker done', 'topics Missing: otlp_logs', 'traces done', 'logs Waiting for otlp_logs'])
  const unread = stepsOf(installation({ topics: [topic('traces', { records: 3 })], dead_letters: 3 }), String)[2]
  expect(unread?.advice).toContain('dead letters on the Pipeline page (3)')
  expect(stepsOf(installation({ embedded: true }), String)[2]?.advice).toContain('log of the sender')
})
