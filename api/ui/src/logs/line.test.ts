import { expect, test } from 'vitest'
import type { LogLine } from '../api/types'
import { withoutEscapes } from './ansi'
import { instanceOf, keyLines, severityOf } from './line'

test.each([
  ['FATAL', 'error'],
  ['ERROR2', 'error'],
  ['warn', 'warn'],
  ['INFO', 'info'],
  ['TRACE', 'debug'],
  ['', 'other'],
  ['UNSPECIFIED', 'other'],
])('severity %s is %s', (text, want) => {
  expect(severityOf(text)).toBe(want)
})

test('equal lines have keys of their own', () => {
  const line = { time: 't', service: 's', span_id: '', body: 'b' } as LogLine
  const keys = keyLines([line, line, { ...line, body: 'c' }]).map((l) => l.key)
  expect(new Set(keys).size).toBe(3)
  expect(keyLines([line]).map((l) => l.key)).toEqual(keys.slice(0, 1))
})

test('codes of terminals are left out, and nothing else', () => {
  const esc = '\u001b'
  expect(withoutEscapes(`${esc}[1;31merror${esc}[0m [42] at ${esc}[38;5;12mcart${esc}[m`)).toBe('error [42] at cart')
  expect(withoutEscapes(`${esc}]8;;https://a.example${esc}\\link${esc}]8;;\u0007 ${esc}(Bbox\u009b2K`)).toBe('link box')
  expect(withoutEscapes('array[31m] $[0m')).toBe('array[31m] $[0m')
})

test('the pod that wrote a line is known by its resource', () => {
  expect(instanceOf({ resource: { 'host.name': 'n1', 'k8s.pod.name': 'cart-1' } })).toEqual({
    word: 'pod',
    condition: 'resource.k8s.pod.name=cart-1',
  })
  expect(instanceOf({ resource: { 'service.name': 'cart' } })).toBeUndefined()
})
