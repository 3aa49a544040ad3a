import { useMe } from '../api/queries'
import type { Me, Role } from '../api/types'

const roles: Role[] = ['viewer', 'editor', 'admin']

/** Why the user lacks the permissions of a role; undefined if they have them. Until the user is known the server decides. */
export function denied(me: Me | undefined, role: Role): string | undefined {
  if (me === undefined || me.role === null || roles.indexOf(me.role) >= roles.indexOf(role)) return undefined
  return `This needs the role ${role}, and ${me.name} is ${me.role === 'viewer' ? 'a viewer' : 'an editor'}: ask an admin.`
}

export function useDenied(role: Role): string | undefined {
  return denied(useMe().data, role)
}
