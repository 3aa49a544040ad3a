import { expect, test } from 'vitest'
import { type Hooks, stubborn } from './lazy'

function world(over: Partial<Hooks> = {}) {
  const did: string[] = []
  const hooks: Hooks = {
    wait: async (ms) => void did.push(`wait ${ms}`),
    answers: async () => true,
    reload: () => void did.push('reload'),
    reloaded: () => 0,
    now: () => 1e12,
    ...over,
  }
  return { did, hooks }
}

const failing = (times: number) => {
  let n = 0
  return async () => {
    if (n++ < times) throw new Error('Failed to fetch dynamically imported module')
    return n
  }
}

test('what fails is loaded again, with growing pauses', async () => {
  const { did, hooks } = world()
  expect(await stubborn(failing(2), hooks)).toBe(3)
  expect(did).toEqual(['wait 300', 'wait 1000'])
})

test('while the server does not answer it waits, and does not reload', async () => {
  let down = 3
  const { did, hooks } = world({ answers: async () => down-- <= 0 })
  expect(await stubborn(failing(4), hooks)).toBe(5)
  expect(did).toEqual(['wait 300', 'wait 1000', 'wait 2000', 'wait 2000', 'wait 2000', 'wait 2000'])
})

test('what is gone from a server that answers reloads the page', async () => {
  const { did, hooks } = world()
  await expect(stubborn(failing(99), hooks)).rejects.toThrow('dynamically')
  expect(did).toContain('reload')
})

test('it reloads once only', async () => {
  const { did, hooks } = world({ reloaded: () => 1e12 - 5_000 })
  await expect(stubborn(failing(99), hooks)).rejects.toThrow('dynamically')
  expect(did).not.toContain('reload')
})
