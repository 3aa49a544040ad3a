import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { Onboarding, OnboardingTopic } from '../api/types'
import { collectorConfig, stepsOf } from './collector'

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
})
