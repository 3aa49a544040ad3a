import type { Incident, IncidentAlert } from '../api/types'

export const incidentPath = (id: string): string => `/incidents/${encodeURIComponent(id)}`

/** The alert whose evidence an incident shows: the one that names its cause, else the first. */
export function leadOf(i: Incident | undefined): IncidentAlert | undefined {
  return i?.members.find((m) => m.cause !== null && m.cause === i.incident.cause && m.state === 'firing') ?? i?.members[0]
}
