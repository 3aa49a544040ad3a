import { expect, test } from 'vitest'
import type { Edge } from '../api/types'
import { graphOf } from './graph'

const edge = (client: string, server: string, connection_type = ''): Edge => ({
  client,
  server,
  connection_type,
  calls: 1,
  failed: 0,
  client_p95_ms: 1,
  server_p95_ms: 1,
})

test('who calls from outside and a service of the same name are two nodes', () => {
  const nodes = [
    { name: 'user', type: 'service' as const },
    { name: 'shop', type: 'service' as const },
    { name: 'redis', type: 'virtual_node' as const },
  ]
  const edges = [
    edge('user', 'shop', 'virtual_node'),
    edge('shop', 'user'),
    edge('user', 'redis', 'virtual_node'),
    edge('user', 'user', 'database'),
  ]
  const { shown, lines } = graphOf(nodes, edges)
  expect(lines.map((l) => `${l.from} > ${l.to}`)).toEqual([
    'virtual_node user > service shop',
    'service shop > service user',
    'service user > virtual_node redis',
    'service user > database user',
  ])
  expect(shown.map((n) => n.id)).toEqual(['virtual_node user', 'service shop', 'service user', 'virtual_node redis', 'database user'])
})
