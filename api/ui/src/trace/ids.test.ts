import { expect, test } from 'vitest'
import { traceIDOf } from './ids'

test('the id of a trace is found in what people paste', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736'
  for (const text of [
    id,
    ` ${id.toUpperCase()}\n`,
    '4bf92f35-77b3-4da6-a3ce-929d0e0e4736',
    `00-${id}-00f067aa0ba902b7-01`,
    `https://jaeger.example/ui/trace/${id}?uiFind=x`,
    `http://localhost:8090/traces/${id}`,
  ])
    expect(traceIDOf(text)).toBe(id)
  for (const text of ['', 'cart', `${id}0`, 'traces']) expect(traceIDOf(text)).toBeUndefined()
  expect(traceIDOf('abc')).toBe('abc')
})
