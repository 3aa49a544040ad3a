/** The sections of the catalogue. Each has a picture, light and dark. */
export const names = [
  'buttons',
  'states',
  'cards',
  'tables',
  'services',
  'charts',
  'filters',
  'forms',
  'empty',
  'fresh',
  'incident',
  'calm',
  'trace',
  'map',
  'dialog',
  'drawer',
] as const

export type Name = (typeof names)[number]
