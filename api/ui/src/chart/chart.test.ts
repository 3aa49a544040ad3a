import { expect, test } from 'vitest'
import { tableOf } from './chart'
import { fileName, placesOf } from './png'

test('a chart as CSV', () => {
  const lines = [
    { label: 'a,b', color: '--s-0', values: [1, null] },
    { label: '=x', color: '--s-1', values: [0.5, 2] },
  ]
  expect(tableOf([0, 10], lines)).toBe('time,"a,b",\'=x\r\n1970-01-01T00:00:00.000Z,1,0.5\r\n1970-01-01T00:00:10.000Z,,2\r\n')
})

test('names of lines fill rows, and a file has a name that every system takes', () => {
  expect(placesOf([40, 50, 30, 200, 10], 100)).toEqual([
    { x: 0, row: 0 },
    { x: 40, row: 0 },
    { x: 0, row: 1 },
    { x: 0, row: 2 },
    { x: 0, row: 3 },
  ])
  expect(fileName('Rate, spans/s', 'png')).toBe('Rate spans s.png')
  expect(fileName('///', 'png')).toBe('chart.png')
})
