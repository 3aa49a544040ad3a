import { expect, test } from 'vitest'
import { paramsOf, parseTokens, stageOf, type TokenParams, tokensOf, tokenText, withToken } from './tokens'

const none: TokenParams = { service: '', operation: '', status: '', min: '', max: '', spanmin: '', spanmax: '', attrs: '' }
const texts = (text: string) => parseTokens(text).list.map(tokenText)

test('tokens as they are typed and pasted', () => {
  expect(texts('service=payment status=failed')).toEqual(['service = payment', 'status = failed'])
  expect(texts('operation = POST /checkout')).toEqual(['operation = POST /checkout'])
  expect(texts(' http.route exists\n db.system != redis')).toEqual(['http.route exists', 'db.system != redis'])
  expect(texts('duration > 150 trace.duration <= 1m30s')).toEqual(['duration >= 150ms', 'trace.duration <= 1m30s'])
  expect(texts('resource.service.name~^pay span.name!="GET /a b"')).toEqual(['service ~ ^pay', 'operation != GET /a b'])
  expect(texts('status != ok')).toEqual(['status = failed'])
  expect(texts('retry')).toEqual(['retry exists'])
})

test('an invalid token says what is wrong with it', () => {
  for (const [text, words] of [
    ['status = broken', 'failed or ok, not "broken"'],
    ['service > 5', 'service takes = or != or ~, not >'],
    ['duration = 5ms', 'duration takes >= or <=, not ='],
    ['duration >= long', '"long" is not a duration'],
    ['service exists', 'Write service = payment'],
    ['a >= much', '"much" is not a number'],
    ['a =', 'lacks a value'],
    ['= x', 'is not a condition'],
  ] as const)
    expect(parseTokens(text).problem, text).toContain(words)
  expect(parseTokens('a=1 status=broken').list).toHaveLength(1)
})

test('a URL is read as tokens and written as it was', () => {
  for (const p of [
    { ...none, service: 'a b', operation: 'POST /x', status: 'error', min: '10ms', max: '2s', spanmin: '5us', attrs: 'http.route=/cart x' },
    { ...none, attrs: 'resource.service.name!=web span.name~^GET a="b c"' },
    { ...none, status: 'ok', spanmax: '1s' },
  ])
    expect(paramsOf(tokensOf(p).list)).toEqual(p)
  expect(tokensOf({ ...none, min: '150' }).list).toEqual([{ key: 'trace.duration', op: '>=', value: '150ms' }])
  expect(tokensOf({ ...none, attrs: 'a>=much' }).problem).toContain('"much" is not a number')
})

test('a text of a token is read as it was', () => {
  for (const c of [
    { key: 'a', op: '=', value: 'b c=d "e" \\' },
    { key: 'a', op: '=', value: '' },
    { key: 'a', op: '', value: '' },
    { key: 'operation', op: '=', value: 'GET WHERE tenant_id = ?' },
  ] as const)
    expect(parseTokens(tokenText(c)).list).toEqual([c])
})

test('of two tokens that exclude each other the new one stays, others add up', () => {
  const list = parseTokens('service=a x=1').list
  const added = (text: string) => withToken(list, parseTokens(text).list[0] as (typeof list)[number]).map(tokenText)
  expect(added('service=b')).toEqual(['service = b', 'x = 1'])
  expect(added('service!=b')).toEqual(['service = a', 'x = 1', 'service != b'])
  expect(added('x!=2')).toEqual(['service = a', 'x = 1', 'x != 2'])
  expect(added('x=1')).toEqual(['service = a', 'x = 1'])
})

test('where the text stands', () => {
  expect(stageOf('')).toEqual({ at: 'key', part: '' })
  expect(stageOf('http.ro')).toEqual({ at: 'key', part: 'http.ro' })
  expect(stageOf('http.route ')).toEqual({ at: 'op', key: 'http.route', part: '' })
  expect(stageOf('http.route ex')).toEqual({ at: 'op', key: 'http.route', part: 'ex' })
  expect(stageOf('http.route != /ca')).toEqual({ at: 'value', key: 'http.route', op: '!=', part: '/ca' })
  expect(stageOf('service=')).toEqual({ at: 'value', key: 'service', op: '=', part: '' })
})
