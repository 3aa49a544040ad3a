import { expect, test } from 'vitest'
import type { Tag } from '../api/types'
import { attributesOf, failuresOf } from './attributes'

const tag = (key: string, value: unknown, type: Tag['type'] = 'string'): Tag => ({ key, type, value })

test('attributes by key, integers with every digit', () => {
  expect(attributesOf([tag('b', '9007199254740993', 'int64'), tag('a', 12, 'int64'), tag('c', true, 'bool'), tag('x', 1)], ['x'])).toEqual([
    { key: 'a', value: '12', filter: 'a=12' },
    { key: 'b', value: '9007199254740993', filter: 'b=9007199254740993' },
    { key: 'c', value: 'true', filter: 'c=true' },
  ])
})

test('what a search cannot look for has no filter', () => {
  const filters = (...tags: Tag[]) => attributesOf(tags).map((a) => a.filter)
  expect(filters(tag('a', 'two words'))).toEqual(['a="two words"'])
  expect(
    filters(tag('a', 'a "quote"'), tag('b', ''), tag('error', true), tag('otel.status_code', 'ERROR'), tag('span.kind', 'server')),
  ).toEqual(Array(5).fill(undefined))
})

test('what failed: exceptions, and the status where it says more', () => {
  const log = { fields: [tag('exception.type', 'E'), tag('exception.message', 'no'), tag('exception.stacktrace', 'at x')] }
  expect(failuresOf({ tags: [tag('otel.status_description', 'no')], logs: [{ fields: [tag('event', 'retry')] }, log] })).toEqual([
    { type: 'E', message: 'no', stack: 'at x' },
  ])
  expect(failuresOf({ tags: [tag('otel.status_description', 'timeout')], logs: [log] })).toHaveLength(2)
  expect(failuresOf({ tags: [], logs: [] })).toEqual([])
})
