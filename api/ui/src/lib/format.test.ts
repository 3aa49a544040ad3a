import { expect, test } from 'vitest'
import {
  age,
  alertValue,
  bytes,
  clock,
  count,
  duration,
  millis,
  moment,
  parseAttributes,
  percent,
  rate,
  sig3,
  spanKind,
  took,
  valueText,
} from './format'

test.each([
  [0, '0'],
  [0.0001, '<0.001'],
  [0.01234, '0.0123'],
  [1.2345, '1.23'],
  [123.45, '123'],
  [1234, '1,230'],
  [Number.NaN, '–'],
])('sig3(%s) is %s', (n, want) => expect(sig3(n)).toBe(want))

test.each([
  [0, '0'],
  [999, '999'],
  [1000, '1K'],
  [12345, '12.3K'],
  [999_960, '1M'],
  [1_234_567_890, '1.23G'],
])('count(%s) is %s', (n, want) => expect(count(n)).toBe(want))

test.each([
  [0, '0'],
  [0.00001, '<0.01'],
  [0.0041, '0.41'],
  [0.0999, '9.99'],
  [0.123, '12.3'],
  [0.9996, '100'],
  [1, '100'],
])('percent(%s) is %s', (n, want) => expect(percent(n)).toBe(want))

test.each([
  [0, '0'],
  [0.001, '<0.01'],
  [0.34, '0.34'],
  [9.999, '10.0'],
  [12.34, '12.3'],
  [120.4, '120'],
  [99.97, '100'],
  [9812, '9.81K'],
])('rate(%s) is %s', (n, want) => expect(rate(n)).toBe(want))

test.each([
  [0, '0'],
  [0.5, '0.50'],
  [12.14, '12.1'],
  [180.4, '180'],
  [1234, '1,230'],
])('millis(%s) is %s', (n, want) => expect(millis(n)).toBe(want))

test.each([
  [0, '0 ms'],
  [340, '340 ms'],
  [1200, '1.2 s'],
  [45_000, '45 s'],
  [180_000, '3 min'],
  [7_500_000, '2 h 5 min'],
  [7_200_000, '2 h'],
  [200 * 3600_000, '8 d'],
])('duration(%s) is %s', (n, want) => expect(duration(n)).toBe(want))

test.each([
  [-500, 'now'],
  [400, 'now'],
  [1200, '1 s ago'],
  [80_000, '80 s ago'],
  [600_000, '10 min ago'],
])('age(%s) is %s', (n, want) => expect(age(n)).toBe(want))

test('values that JSON has no number for are shown as they are named', () => {
  expect(alertValue('+Inf')).toBe('+Inf')
  expect(alertValue(0.04123)).toBe('0.0412')
  expect(alertValue(undefined)).toBe('–')
})

test('bytes and kinds', () => {
  expect(bytes(512)).toBe('512 B')
  expect(bytes(3 << 20)).toBe('3 MiB')
  expect(spanKind('SPAN_KIND_SERVER')).toBe('server')
})

test.each([
  [0, '0 ms'],
  [0.0005, '0.5 µs'],
  [0.42, '0.42 ms'],
  [12.34, '12.3 ms'],
  [999.6, '1 s'],
  [1234, '1.23 s'],
  [89_000, '89 s'],
  [120_000, '2 min'],
])('%d ms took %s', (ms, want) => {
  expect(took(ms)).toBe(want)
})

test.each([
  ['http.route=/cart', ['http.route=/cart']],
  ['a=1  b=2', ['a=1', 'b=2']],
  ['env="a b" c=d', ['env=a b', 'c=d']],
  ['url=http://x/?a=b', ['url=http://x/?a=b']],
  ['nothing here', []],
  ['a= b=2', ['b=2']],
])('attributes of %s', (text, want) => {
  expect(parseAttributes(text)).toEqual(want)
})

test('a value of an attribute as text', () => {
  expect([valueText('a'), valueText(1), valueText(true), valueText([1, 'b']), valueText(undefined), valueText(null)]).toEqual([
    'a',
    '1',
    'true',
    '[1,"b"]',
    '',
    'null',
  ])
})

test('moments have two digits for each part', () => {
  const t = new Date(2026, 10, 6, 1, 2, 3)
  expect(moment(t.getTime())).toBe('2026-11-06 01:02:03')
  expect(clock(t.toISOString())).toBe('01:02:03')
})
