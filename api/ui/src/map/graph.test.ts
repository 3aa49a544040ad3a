import { expect, test } from 'vitest'
import type { Edge } from '../api/types'
import { graphOf } from './graph'

const edge = (
  client: string,
  server: string,
  connection_type = '',
  client_type: Edge['client_type'] = 'service',
  server_type: Edge['server_type'] = 'service',
): Edge => ({
  client,
  server,
  connection_type,
  client_type,
  server_type,
  calls: 1,
  failed: 0,
  client_p95_ms: 1,
  server_p95_ms: 1,
})

test('who calls from outside and a service of the same name are two nodes', () => {
  const edges = [
    edge('user', 'shop', 'virtual_node', 'virtual_node'),
    edge('shop', 'user'),
    edge('user', 'redis', 'virtual_node', 'service', 'virtual_node'),
    edge('user', 'user', 'database', 'service', 'database'),
  ]
  const { shown, lines } = graphOf(edges)
  expect(lines.map((l) => `${l.from} > ${l.to}`)).toEqual([
    'virtual_node user > service shop',
    'service shop > service user',
    'service user > virtual_node redis',
    'service user > database user',
  ])
  expect(shown.map((n) => n.id)).toEqual(['virtual_node user', 'service shop', 'service user', 'virtual_node redis', 'database user'])
})

test('a service in two environments is two nodes', () => {
  const of = (env: string): Edge => {
    const dimensions = { 'deployment.environment.name': env }
    return { ...edge('web', 'cart'), client_dimensions: dimensions, server_dimensions: dimensions }
  }
  const { shown, lines } = graphOf([of('production'), of('staging')])
  expect(shown.map((n) => n.label)).toEqual(['web (production)', 'cart (production)', 'web (staging)', 'cart (staging)'])
  expect(lines[0]?.from).not.toBe(lines[1]?.from)
})
