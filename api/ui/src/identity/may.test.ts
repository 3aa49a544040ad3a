import { expect, test } from 'vitest'
import type { Me } from '../api/types'
import { denied } from './may'

const me = (role: Me['role']): Me => ({ authentication: true, name: 'ann', role, login: true, local: true, expires_at: null, oidc: false })

test('a role may what the ones before it may', () => {
  expect(denied(me('viewer'), 'viewer')).toBeUndefined()
  expect(denied(me('admin'), 'editor')).toBeUndefined()
  expect(denied(me('viewer'), 'editor')).toBe('This needs the role editor, and ann is a viewer: ask an admin.')
  expect(denied(me('editor'), 'admin')).toBe('This needs the role admin, and ann is an editor: ask an admin.')
})

test('what is not known is not forbidden here: the server says so', () => {
  expect(denied(undefined, 'admin')).toBeUndefined()
  expect(denied(me(null), 'admin')).toBeUndefined()
})
